// Collects garbage on a root again and again until it is killed: blobs only, or all that an engine collects.
import { Engine } from '../../index.ts'
import { contentFixture } from './content-fixture.ts'

const [root, what] = process.argv.slice(2) as [string, 'engine' | undefined]
if (what === 'engine') {
  const engine = await Engine.open({ root })
  process.stdout.write('ready\n')
  while (true) await engine.gc()
}
const fixture = contentFixture({ root, scratch: '/nonexistent' })
process.stdout.write('ready\n')
while (true) await fixture.content.collectGarbage()
