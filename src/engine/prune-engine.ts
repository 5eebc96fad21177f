import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ImageVerbs } from './image-verbs.ts'
import type { Parts } from './parts.ts'
import { pruneContainers } from './prune-containers.ts'
import type {
  ContainerPruneFilter,
  ContainersPruneReport,
  ImagePruneFilter,
  ImagesPruneReport,
} from './removal-reports.ts'

/** What to prune: true, or a filter. Without any of them: stopped containers and dangling images. */
export interface PruneOptions {
  readonly containers?: boolean | ContainerPruneFilter | undefined
  /** After the containers, so that images that only pruned ones used can go too. */
  readonly images?: boolean | ImagePruneFilter | undefined
}

/** What was pruned; null for what was not to be. */
export interface PruneReport {
  readonly containers: ContainersPruneReport | null
  readonly images: ImagesPruneReport | null
  /** Bytes, of all together. */
  readonly spaceReclaimed: number
}

/** @throws `call.unknown_option`, `call.bad_option`, `call.aborted` */
export async function pruneEngine(
  parts: Parts,
  verbs: ImageVerbs,
  what: PruneOptions | undefined,
  call?: CallOptions,
): Promise<PruneReport> {
  const given = parseOptionObject('engine.prune', what, {
    containers: wish<ContainerPruneFilter>,
    images: wish<ImagePruneFilter>,
  })
  const wanted = Object.keys(given).length === 0 ? { containers: true, images: true } : given
  const filterOf = <T>(value: boolean | T | undefined) => (value === true ? undefined : value)
  const containers = wanted.containers
    ? await pruneContainers(parts, filterOf(wanted.containers) || undefined, call)
    : null
  const images = wanted.images ? await verbs.prune(filterOf(wanted.images) || undefined, call) : null
  return {
    containers,
    images,
    spaceReclaimed: (containers?.spaceReclaimed ?? 0) + (images?.spaceReclaimed ?? 0),
  }
}

function wish<Filter>(value: unknown, key: string): boolean | Filter {
  if (typeof value === 'boolean' || (typeof value === 'object' && value !== null)) return value as boolean | Filter
  throw callErrors.error('bad_option', {
    message: `The option "${key}" must be true, false or a filter, not ${JSON.stringify(value)}.`,
    subject: { type: 'option', id: key },
    details: { key },
  })
}
