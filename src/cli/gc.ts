import { Engine } from '../engine/engine.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import type { Command } from './usage-error.ts'

/** Removes what dead processes left and what nothing needs any more. */
export const gc: Command = async (args, { stdout }) => {
  const { values, rest } = parseOptions(args, { root: { type: 'string' } })
  refuseRest(rest)
  await using engine = await Engine.open(values.root === undefined ? {} : { root: values.root })
  const report = await engine.gc()
  const counts = `${report.containers.length} containers, ${report.snapshots.length} layers, ${report.blobs.length} blobs`
  stdout.write(`removed ${counts}, ${(report.freedBytes / 1e6).toFixed(1)} MB of blobs\n`)
  return 0
}
