import type { ConsistencyReport } from '../engine/check-engine.ts'
import { Engine } from '../engine/engine.ts'
import type { EngineOptions } from '../engine/engine-options.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import type { Command } from './usage-error.ts'

async function look(options: EngineOptions, contents: boolean): Promise<ConsistencyReport> {
  await using engine = await Engine.open(options)
  return await engine.check({ contents })
}

/** Says what is inconsistent on a root; with --repair mends it. The exit code is 1 when something stays wrong. */
export const check: Command = async (args, { stdout }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    repair: { type: 'boolean' },
    contents: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  refuseRest(rest)
  const options = values.root === undefined ? {} : { root: values.root }
  const contents = values.contents === true
  const report = values.repair ? await Engine.repair(options, { contents }) : await look(options, contents)
  const left = report.problems.filter(({ repaired }) => !repaired)
  if (values.json) stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else {
    if (report.setAside !== null)
      stdout.write(`the records were built anew; the damaged ones are in ${report.setAside}\n`)
    for (const { message, repaired, kind } of report.problems)
      stdout.write(`${repaired ? 'repaired' : 'wrong   '}  ${message} [${kind}]\n`)
    stdout.write(left.length > 0 ? `${left.length} problems are left\n` : 'all is well\n')
  }
  return left.length > 0 ? 1 : 0
}
