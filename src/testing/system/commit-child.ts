// Commits a container, or pauses and resumes it, over and over, for tests that kill it on the way. Arguments: root,
// container, `commit` or `pause`.
import { Engine } from '../../index.ts'

const [root = '', id = '', what = 'commit'] = process.argv.slice(2)
const engine = await Engine.open({ root, diagnostics: () => {} })
const container = await engine.containers.get(id)
process.stdout.write('ready\n')
while (what === 'pause') {
  await container.pause()
  await container.unpause()
}
for (let round = 0; ; round++) {
  const image = await container.commit({ reference: `killed:${round % 3}`, created: new Date(round * 1000) })
  process.stdout.write(`${image.id}\n`)
  if (round % 2 === 1) await image.remove({ force: true })
}
