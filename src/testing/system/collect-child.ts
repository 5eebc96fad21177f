// Collects garbage on a root again and again until it is killed.
import { contentFixture } from './content-fixture.ts'

const fixture = contentFixture({ root: process.argv[2]!, scratch: '/nonexistent' })
process.stdout.write('ready\n')
while (true) await fixture.content.collectGarbage()
