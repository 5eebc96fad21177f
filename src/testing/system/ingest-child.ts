// Opens the root it is given, stores one blob under a lease, and stops in the middle of two more until it is killed.
import { setTimeout } from 'node:timers/promises'
import { ContentStore } from '../../content/content-store.ts'
import { openState } from '../../state/open-state.ts'
import { Owners } from '../../state/owners.ts'

const state = openState(process.argv[2]!)
const owner = new Owners(state.db, state.paths).register('engine')
const content = new ContentStore({ paths: state.paths, db: state.db, owner: owner.id })
const lease = content.createLease()
await content.ingest([Buffer.from('stored by the child')], { lease })
const resumable = await content.openWriter({ lease, ref: 'child' })
await resumable.write(Buffer.alloc(5000, 'r'))
const plain = await content.openWriter({ lease })
await plain.write(Buffer.alloc(5000, 'p'))
process.stdout.write('ready\n')
await setTimeout(60_000)
