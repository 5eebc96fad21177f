// Loads an archive into a root, for tests that kill it on the way.

import { loadImages } from '../../transfer/load-images.ts'
import { contentFixture } from './content-fixture.ts'
import { CountingUnpacker } from './counting-unpacker.ts'

const fixture = contentFixture({ root: process.argv[2]!, scratch: '/nonexistent' })
const services = { ...fixture, unpacker: new CountingUnpacker(), diagnostics: () => {} }
process.stdout.write('ready\n')
await loadImages(services, process.argv[3]!)
await fixture[Symbol.asyncDispose]()
