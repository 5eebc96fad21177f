import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Container } from 'tscontainer'
import { peerImage } from '../peers.ts'
import type { RowGroup } from '../row.ts'
import { type Contestant, interleave, median, timed } from '../statistics.ts'

const count = 100
const sleep = ['sleep', '10000']

/** The longest time between two turns of the event loop while `work` runs, in ms. */
async function longestGap(work: () => Promise<unknown>): Promise<number> {
  let last = performance.now()
  let longest = 0
  const tick = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(tick, 1)
  try {
    await work()
    tick()
  } finally {
    clearInterval(timer)
  }
  return longest
}

/** Starting many at once: how long until all run, and how long the caller's event loop stood still at most. */
export const burst: RowGroup = {
  name: 'burst',
  async measure(setting) {
    const { engine, image, shell, bundles, peers } = setting
    const gaps: number[] = []
    const bare = Array.from({ length: count }, () => bundles.add(sleep))
    const script = join(setting.scratch('bare-burst'), 'start.sh')
    const start = bare.map(
      ({ mount, directory, id }) =>
        `{ ${mount} && crun run --detach --bundle '${directory}' ${id}; } >/dev/null </dev/null &`,
    )
    writeFileSync(script, `${start.join('\n')}\nwait\n`)
    const contestants: Contestant[] = [
      {
        name: 'tscontainer',
        async once() {
          let containers: readonly Container[] = []
          let took = 0
          const work = async () => {
            const spec = { image, command: sleep, networks: 'none' as const }
            containers = await Promise.all(Array.from({ length: count }, async () => engine.containers.run(spec)))
          }
          gaps.push(
            await longestGap(async () => {
              took = await timed(work)
            }),
          )
          await Promise.all(containers.map((container) => container.remove({ force: true })))
          return took
        },
      },
      {
        name: 'bare',
        async once() {
          const took = await shell.time(`. '${script}'`)
          for (const { id, clean } of bare) await shell.time(`crun delete --force ${id} && ${clean}`)
          return took
        },
      },
      ...peers.map((peer) => ({
        name: peer.name,
        async once() {
          const names = Array.from({ length: count }, (_, index) => `tscbench-${index}`)
          const took = await timed(() =>
            Promise.all(
              names.map((id) => peer.run('run', '-d', '--name', id, '--network', 'none', peerImage, ...sleep)),
            ),
          )
          peer.remove(...names)
          return took
        },
      })),
    ]
    const figures = await interleave(contestants, Math.max(3, Math.round(setting.rounds / 8)))
    return [
      { row: `start ${count} containers at once, no network`, unit: 'ms', figures, goal: { kind: 'ratio', max: 1.6 } },
      {
        row: `longest event-loop gap while ${count} start`,
        unit: 'ms',
        figures: { tscontainer: median(gaps.slice(1)) },
        goal: { kind: 'absolute', max: 20 },
      },
    ]
  },
}
