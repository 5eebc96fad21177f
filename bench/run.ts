import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.ts'
import { renderTable } from './report.ts'
import { type Result, reached } from './row.ts'
import { burst } from './rows/burst.ts'
import { commit } from './rows/commit.ts'
import { exec } from './rows/exec.ts'
import { firstLine } from './rows/first-line.ts'
import { images } from './rows/images.ts'
import { logs } from './rows/logs.ts'
import { memory } from './rows/memory.ts'
import { registry } from './rows/registry.ts'
import { runTrue } from './rows/run-true.ts'
import { Setting } from './setting.ts'
import { WorkDisk } from './work-disk.ts'

/**
 * Measures tscontainer beside the bare limit and, where they are installed, Docker and Podman, in turns in one run.
 *
 *   npm run bench -- [--only run,exec] [--rounds 40] [--disk ext4|tmpfs] [--json FILE] [--readme]
 *
 * `--readme` puts the table into the README; `--strict` ends with 1 when a goal is missed.
 *
 * Only ratios within one run count: the figures themselves move with the machine, its load and its cgroup set-up.
 */
const groups = [runTrue, firstLine, exec, burst, logs, images, commit, registry, memory]

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '40' },
    disk: { type: 'string', default: 'ext4' },
    json: { type: 'string' },
    readme: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
})
const names = values.only?.split(',') ?? groups.map((group) => group.name)
const unknown = names.filter((name) => !groups.some((group) => group.name === name))
const rounds = Number(values.rounds)
if (unknown.length > 0 || !(rounds >= 1) || (values.disk !== 'ext4' && values.disk !== 'tmpfs')) {
  console.error(`--only takes ${groups.map((group) => group.name).join(', ')}; --rounds a number; --disk ext4 or tmpfs`)
  process.exit(2)
}

const machine = describeMachine()
for (const [what, fact] of Object.entries(machine)) console.log(`${what.padEnd(8)} ${fact}`)
console.log(`${'data'.padEnd(8)} ${values.disk} of its own, in memory\n`)

const results: Result[] = []
{
  using disk = new WorkDisk(values.disk)
  await using setting = await Setting.make(disk.path, rounds)
  for (const group of groups.filter(({ name }) => names.includes(name))) {
    process.stderr.write(`measuring ${group.name} ...\n`)
    try {
      results.push(...(await group.measure(setting)))
    } catch (error) {
      // The other rows are still worth having.
      console.error(error)
      process.exitCode = 1
    }
  }
}
const table = renderTable(results)
console.log(table)
if (values.readme) {
  const file = join(import.meta.dirname, '../README.md')
  const facts = `${machine['cpu']}, ${machine['memory']}, Linux ${machine['kernel']}, cgroups ${machine['cgroups']}, ${machine['crun']}`
  const text = `Medians of ${rounds} rounds on ${facts}, Node ${machine['node']}; data on an ${values.disk} in memory.\n\n${table}`
  const page = readFileSync(file, 'utf8')
  writeFileSync(file, page.replace(/<!-- bench -->[\s\S]*<!-- \/bench -->/, `<!-- bench -->\n${text}\n<!-- /bench -->`))
}
const report = {
  machine,
  disk: values.disk,
  rounds,
  results: results.map((result) => ({ ...result, outcome: reached(result) })),
}
if (values.json === undefined) console.log(`\n${JSON.stringify(report)}`)
else writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
if (values.strict && results.some((result) => reached(result)?.met === false)) process.exitCode = 1
