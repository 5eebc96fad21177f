import { Engine } from '../engine/engine.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import { readableSize, shortId, table } from './table.ts'
import type { Command } from './usage-error.ts'

/** What a root takes on its disk. */
export const df: Command = async (args, { stdout }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    verbose: { type: 'boolean', short: 'v' },
    blocks: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  refuseRest(rest)
  await using engine = await Engine.open(values.root === undefined ? {} : { root: values.root })
  const usage = await engine.diskUsage({ blocks: values.blocks })
  if (values.json) {
    stdout.write(`${JSON.stringify(usage, null, 2)}\n`)
    return 0
  }
  const { images, containers } = usage
  const row = (name: string, part: { total: number; active: number; reclaimable: number }, size: number) => [
    name,
    String(part.total),
    String(part.active),
    readableSize(size),
    readableSize(part.reclaimable),
  ]
  stdout.write(
    table(
      ['TYPE', 'TOTAL', 'ACTIVE', 'SIZE', 'RECLAIMABLE'],
      [row('Images', images, images.storedSize + images.unpackedSize), row('Containers', containers, containers.size)],
    ),
  )
  if (images.blocks !== null) stdout.write(`\nlayers take ${readableSize(images.blocks)} of the disk\n`)
  if (!values.verbose) return 0
  const imageRows = images.items.map((item) => [
    item.names[0] ?? '<none>',
    shortId(item.id),
    ...[item.unpackedSize, item.sharedSize, item.uniqueSize, item.storedSize].map(readableSize),
    String(item.containers),
  ])
  const headings = ['IMAGE', 'ID', 'SIZE', 'SHARED', 'UNIQUE', 'STORED', 'CONTAINERS']
  stdout.write(`\n${table(headings, imageRows)}`)
  const containerRows = containers.items.map((item) => [
    item.name,
    shortId(item.id),
    item.image,
    item.status,
    readableSize(item.size),
  ])
  stdout.write(`\n${table(['CONTAINER', 'ID', 'IMAGE', 'STATUS', 'SIZE'], containerRows)}`)
  return 0
}
