import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { quote } from '../bare-shell.ts'
import { peerImage } from '../peers.ts'
import type { Result, RowGroup } from '../row.ts'
import type { Setting } from '../setting.ts'
import { interleave, timed } from '../statistics.ts'

async function withoutNetwork(setting: Setting): Promise<Result> {
  const { engine, image, shell, bundles, peers } = setting
  const bare = bundles.add(['/bin/true'])
  const figures = await interleave(
    [
      {
        name: 'tscontainer',
        once: () =>
          timed(async () => {
            const container = await engine.containers.run({ image, command: ['/bin/true'], networks: 'none' })
            await container.wait()
            await container.remove()
          }),
      },
      { name: 'bare', once: () => shell.time(`${bare.mount} && ${bare.run('crun')} && ${bare.clean}`) },
      ...peers.map((peer) => ({
        name: peer.name,
        once: () => timed(() => peer.run('run', '--rm', '--network', 'none', peerImage, '/bin/true')),
      })),
    ],
    setting.rounds,
  )
  return { row: 'run /bin/true and remove, no network', unit: 'ms', figures, goal: { kind: 'ratio', max: 1.0 } }
}

const bridge = 'tscbench0'

/** Network namespace, veth pair, address and route by ip's batch mode: what a script does for the default bridge. */
async function onBridge(setting: Setting): Promise<Result> {
  const { engine, image, shell, bundles, peers } = setting
  const directory = setting.scratch('bare-bridge')
  await shell.time(
    `ip link add ${bridge} type bridge && ip addr add 10.251.77.1/24 dev ${bridge} && ip link set ${bridge} up`,
  )
  try {
    const name = (round: number) => `tscbench${process.pid}r${round}`
    const once = async (round: number) => {
      const bare = bundles.add(['/bin/true'], `/run/netns/${name(round)}`)
      // Interface names in the host must be new each time: the kernel removes the old pair a while after its namespace.
      const host = `tscb${process.pid % 1000}x${round}`
      const [outer, inner] = [join(directory, 'outer'), join(directory, 'inner')]
      writeFileSync(
        outer,
        `link add ${host} type veth peer name eth0 netns ${name(round)}\nlink set ${host} master ${bridge} up\n`,
      )
      const address = 'addr add 10.251.77.2/24 dev eth0\nroute add default via 10.251.77.1\n'
      writeFileSync(inner, `link set lo up\nlink set eth0 up\n${address}`)
      const network = `ip netns add ${name(round)} && ip -batch ${quote(outer)} && ip -n ${name(round)} -batch ${quote(inner)}`
      const line = `${network} && ${bare.mount} && ${bare.run('crun')} && ${bare.clean} && ip netns del ${name(round)}`
      return shell.time(line)
    }
    const figures = await interleave(
      [
        {
          name: 'tscontainer',
          once: () =>
            timed(async () => {
              const container = await engine.containers.run({ image, command: ['/bin/true'] })
              await container.wait()
              await container.remove()
            }),
        },
        { name: 'bare', once },
        ...peers.map((peer) => ({
          name: peer.name,
          once: () => timed(() => peer.onBridge.run('run', '--rm', peerImage, '/bin/true')),
        })),
      ],
      setting.rounds,
    )
    return { row: 'the same on the default bridge', unit: 'ms', figures, goal: { kind: 'ratio', max: 1.0 } }
  } finally {
    await shell.time(`ip link del ${bridge}`)
  }
}

export const runTrue: RowGroup = {
  name: 'run',
  measure: async (setting) => [await withoutNetwork(setting), await onBridge(setting)],
}
