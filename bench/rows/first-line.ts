import { peerImage } from '../peers.ts'
import type { RowGroup } from '../row.ts'
import { interleave } from '../statistics.ts'

/** From the call to the first line of the program's output in the caller's hands. */
export const firstLine: RowGroup = {
  name: 'first-line',
  async measure({ engine, image, shell, bundles, peers, rounds }) {
    const command = ['echo', 'here']
    const bare = bundles.add(command)
    const figures = await interleave(
      [
        {
          name: 'tscontainer',
          async once() {
            const started = performance.now()
            const { promise, resolve } = Promise.withResolvers<number>()
            const onLog = () => resolve(performance.now() - started)
            const container = await engine.containers.run({ image, command, networks: 'none', onLog })
            const took = await promise
            await container.wait()
            await container.remove()
            return took
          },
        },
        {
          name: 'bare',
          async once() {
            const reader = '{ read -r line; stop=$EPOCHREALTIME; }'
            const took = await shell.time(
              `${bare.mount} && ${reader} < <(${bare.run('crun')}); wait $!; [ "$line" = here ]`,
            )
            await shell.time(bare.clean)
            return took
          },
        },
        ...peers.map((peer) => ({
          name: peer.name,
          async once() {
            const started = performance.now()
            const child = peer.spawn(['run', '--rm', '--network', 'none', peerImage, ...command], 'pipe')
            const exited = new Promise((resolve) => child.once('exit', resolve))
            await new Promise((resolve) => child.stdout?.once('data', resolve))
            const took = performance.now() - started
            await exited
            return took
          },
        })),
      ],
      rounds,
    )
    return [{ row: 'start to first stdout line in the caller', unit: 'ms', figures, goal: { kind: 'ratio', max: 1.3 } }]
  },
}
