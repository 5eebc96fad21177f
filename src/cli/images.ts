import { Engine } from '../engine/engine.ts'
import { parseOptions } from './parse-options.ts'
import { readableSize, shortId, table } from './table.ts'
import { type Command, UsageError } from './usage-error.ts'

/** Lists images: one line for each name, as Docker does. */
export const images: Command = async (args, { stdout }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    quiet: { type: 'boolean', short: 'q' },
    'no-trunc': { type: 'boolean' },
    dangling: { type: 'boolean' },
    label: { type: 'string', multiple: true },
    before: { type: 'string' },
    since: { type: 'string' },
    json: { type: 'boolean' },
  })
  const [reference, ...more] = rest
  if (more.length > 0) throw new UsageError(`unexpected argument: ${more[0]}`)
  const shown = (id: string) => (values['no-trunc'] ? id : shortId(id))
  await using engine = await Engine.open(values.root === undefined ? {} : { root: values.root })
  const { label: labels, dangling, before, since } = values
  const found = await Array.fromAsync(engine.images.list({ dangling, labels, before, since, reference }))
  if (values.quiet) {
    stdout.write(found.map(({ id }) => `${shown(id)}\n`).join(''))
    return 0
  }
  const facts = []
  for (const image of found) facts.push(await image.inspect())
  if (values.json) {
    stdout.write(`${JSON.stringify(facts, null, 2)}\n`)
    return 0
  }
  const rows = facts.flatMap(({ id, repoTags, created, unpackedSize }) =>
    (repoTags.length > 0 ? repoTags : ['<none>:<none>']).map((name) => {
      const colon = name.lastIndexOf(':')
      const when = created?.slice(0, 10) ?? '-'
      return [name.slice(0, colon), name.slice(colon + 1), shown(id), when, readableSize(unpackedSize)]
    }),
  )
  stdout.write(table(['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE'], rows))
  return 0
}
