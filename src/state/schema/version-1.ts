import { containersSchema } from './containers.ts'
import { contentSchema } from './content.ts'
import { eventsSchema } from './events.ts'
import { imagesSchema } from './images.ts'
import { metaSchema } from './meta.ts'
import { networksSchema } from './networks.ts'
import { ownersSchema } from './owners.ts'
import { snapshotsSchema } from './snapshots.ts'

/** The first format. Applied in one transaction; later versions are added beside it, never edited into it. */
export const version1 = [
  metaSchema,
  ownersSchema,
  contentSchema,
  imagesSchema,
  snapshotsSchema,
  containersSchema,
  networksSchema,
  eventsSchema,
].join('\n')
