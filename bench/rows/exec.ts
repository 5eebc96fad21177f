import { join } from 'node:path'
import { Engine } from 'tscontainer'
import { peerImage } from '../peers.ts'
import type { Result, RowGroup } from '../row.ts'
import type { Setting } from '../setting.ts'
import { type Contestant, interleave, timed } from '../statistics.ts'

const sleep = ['sleep', '10000']

async function withRuntime(setting: Setting, runtime: 'crun' | 'runc'): Promise<Result> {
  const { shell, bundles, rounds } = setting
  await using engine = await Engine.open({ root: join(setting.directory, `exec-${runtime}`), runtime })
  const [image] = await engine.images.load(setting.tarball)
  await using container = await engine.containers.run({
    image: image!,
    command: sleep,
    networks: 'none',
    stopTimeout: 0,
  })
  const bare = bundles.add(sleep)
  await shell.time(`${bare.mount} && ${runtime} run --detach --bundle '${bare.directory}' ${bare.id}`)
  const contestants: Contestant[] = [
    { name: 'tscontainer', once: () => timed(() => container.exec(['/bin/true'])) },
    { name: 'bare', once: () => shell.time(`${runtime} exec ${bare.id} /bin/true`) },
  ]
  const started: (() => void)[] = []
  if (runtime === 'crun')
    for (const peer of setting.peers) {
      const id = peer.output('run', '-d', '--network', 'none', peerImage, ...sleep)
      started.push(() => peer.remove(id))
      contestants.push({ name: peer.name, once: () => timed(() => peer.run('exec', id, '/bin/true')) })
    }
  try {
    const figures = await interleave(contestants, rounds)
    return { row: `exec /bin/true, ${runtime}`, unit: 'ms', figures, goal: { kind: 'ratio', max: 1.3 } }
  } finally {
    for (const remove of started) remove()
    await shell.time(`${runtime} delete --force ${bare.id} && ${bare.clean}`)
  }
}

export const exec: RowGroup = {
  name: 'exec',
  measure: async (setting) => [await withRuntime(setting, 'crun'), await withRuntime(setting, 'runc')],
}
