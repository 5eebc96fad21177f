import { Engine } from '../engine/engine.ts'
import type { DriverProbe, ProbeReport } from '../engine/probe.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import type { Command } from './usage-error.ts'

const fact = (name: string, value: unknown): string =>
  `  ${name.padEnd(34)} ${Array.isArray(value) ? value.join(' ') || 'none' : String(value)}`

function describeDriver({ type, name, result }: DriverProbe): readonly string[] {
  const title = `${type} ${name}`
  if (!result.usable)
    return [`  no   ${title}`, ...result.missing.map(({ what, hint }) => `         missing: ${what}; ${hint}`)]
  const facts = Object.entries(result.facts).map(([key, value]) => `${key} ${value}`)
  return [
    `  yes  ${title}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}`,
    ...(result.warnings ?? []).map((warning) => `         warning: ${warning}`),
  ]
}

function describe(report: ProbeReport): string {
  const lines = ['kernel', ...Object.entries(report.kernel).map(([name, value]) => fact(name, value))]
  lines.push('drivers', ...report.drivers.flatMap(describeDriver), 'limits')
  for (const { name, value, enough, hint } of report.limits)
    lines.push(fact(name, `${value ?? 'not on this kernel'}${enough ? '' : `: ${hint}`}`))
  if (report.usable) lines.push('containers can run here')
  else {
    lines.push('containers cannot run here; missing:')
    lines.push(...report.missing.map(({ what, hint }) => `  ${what}: ${hint}`))
  }
  return `${lines.join('\n')}\n`
}

/** Says what this machine has and lacks; the exit code is 1 when containers cannot run. */
export const doctor: Command = async (args, { stdout }) => {
  const { values, rest } = parseOptions(args, { json: { type: 'boolean' } })
  refuseRest(rest)
  const report = await Engine.probe()
  stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : describe(report))
  return report.usable ? 0 : 1
}
