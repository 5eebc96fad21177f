// Makes images of lifetime `process` in all ways and tells their ids; then it waits, or goes on until it is killed.
// Arguments: root, archive of an image, tarball of a root file system, `once` or `on`.
import { Engine } from '../../index.ts'
import { imageName } from './busybox-engine.ts'

const [root = '', archive = '', rootfs = '', what = 'once'] = process.argv.slice(2)
const engine = await Engine.open({ root, diagnostics: () => {} })
const lifetime = 'process'

async function makeAll(round: number): Promise<readonly string[]> {
  const loaded = await engine.images.load(archive, { lifetime })
  const imported = await engine.images.importRootfs(rootfs, { reference: `session/import:${round}`, lifetime })
  await using container = await engine.containers.run({
    image: imageName,
    networks: 'none',
    command: ['sh', '-c', `echo ${round} > /round`],
  })
  await container.wait()
  const committed = await container.commit({ reference: `session/commit:${round}`, lifetime })
  const squashed = await committed.squash({ lifetime })
  return [...loaded, imported, committed, squashed].map(({ id }) => id)
}

process.stdout.write('ready\n')
let round = 0
do process.stdout.write(`${JSON.stringify(await makeAll(round++))}\n`)
while (what === 'on')
setInterval(() => {}, 1000)
