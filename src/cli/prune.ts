import { Engine } from '../engine/engine.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import { readableSize } from './table.ts'
import type { Command } from './usage-error.ts'

/** Removes stopped containers and dangling images; with --all every image without a container. */
export const prune: Command = async (args, { stdout }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    all: { type: 'boolean', short: 'a' },
    until: { type: 'string' },
    label: { type: 'string', multiple: true },
  })
  refuseRest(rest)
  await using engine = await Engine.open(values.root === undefined ? {} : { root: values.root })
  const { label: labels, until, all } = values
  const report = await engine.prune({ containers: { labels, until }, images: { all, labels, until } })
  for (const id of report.containers?.deleted ?? []) stdout.write(`deleted container ${id}\n`)
  for (const name of report.images?.untagged ?? []) stdout.write(`untagged ${name}\n`)
  for (const id of report.images?.deleted ?? []) stdout.write(`deleted image ${id}\n`)
  stdout.write(`freed ${readableSize(report.spaceReclaimed)}\n`)
  return 0
}
