import { Engine } from '../engine/engine.ts'
import { parseOptions } from './parse-options.ts'
import { showTransfer } from './show-transfer.ts'
import { type Command, UsageError } from './usage-error.ts'

/** Pushes an image by its name, or by another one; prints what `name@digest` pulls. */
export const push: Command = async (args, { stdout, stderr }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    quiet: { type: 'boolean', short: 'q' },
  })
  const [name, target, ...more] = rest
  if (name === undefined) throw new UsageError('push needs the name of an image')
  if (more.length > 0) throw new UsageError(`unexpected argument: ${more[0]}`)
  await using engine = await Engine.open(values.root === undefined ? {} : { root: values.root })
  const image = await engine.images.get(name)
  // By id it has no name of its own to go by.
  const pushing = image.push(target ?? (image.id.includes(name) ? undefined : name))
  if (!values.quiet) await showTransfer(pushing, stderr)
  const { name: pushed, digest } = await pushing
  stdout.write(`${pushed} ${digest}\n`)
  return 0
}
