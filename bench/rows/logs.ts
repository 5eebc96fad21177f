import { join } from 'node:path'
import { quote } from '../bare-shell.ts'
import type { RowGroup } from '../row.ts'
import { interleave } from '../statistics.ts'

const lines = 1_000_000
/** 99 characters and a newline, 100 MB in all. */
const command = ['sh', '-c', `yes ${'x'.repeat(99)} | head -n ${lines}`]

/** 100 MB of log, stored in json-file and read by a follower of the same process as typed entries. */
export const logs: RowGroup = {
  name: 'logs',
  async measure(setting) {
    const { engine, image, shell, bundles } = setting
    const bare = bundles.add(command)
    const file = join(setting.scratch('bare-logs'), 'log')
    const figures = await interleave(
      [
        {
          name: 'tscontainer',
          async once() {
            const started = performance.now()
            const container = await engine.containers.run({ image, command, networks: 'none' })
            let count = 0
            let bytes = 0
            for await (const entry of container.logs({ follow: true })) {
              count++
              bytes += entry.bytes.length
            }
            const took = (performance.now() - started) / 1000
            if (count !== lines || bytes !== lines * 99) throw new Error(`lost lines: ${count} of ${lines} arrived`)
            await container.wait()
            await container.remove()
            return took
          },
        },
        {
          name: 'bare',
          async once() {
            const took = await shell.time(`${bare.mount} && ${bare.run('crun')} | tee ${quote(file)} | wc -c`)
            await shell.time(`${bare.clean}; rm -f ${quote(file)}`)
            return took / 1000
          },
        },
      ],
      3,
    )
    return [
      {
        row: '100 MB of 100-byte log lines, stored and followed',
        unit: 's',
        figures,
        goal: { kind: 'absolute', max: 1.5 },
      },
    ]
  },
}
