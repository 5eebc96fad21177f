import { Engine } from '../engine/engine.ts'
import { lockOf, lockOptions } from './lock-options.ts'
import { parseOptions } from './parse-options.ts'
import { showTransfer } from './show-transfer.ts'
import { type Command, UsageError } from './usage-error.ts'

/** Pulls images; prints the name and digest of each. */
export const pull: Command = async (args, { stdout, stderr }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    platform: { type: 'string' },
    quiet: { type: 'boolean', short: 'q' },
    ...lockOptions,
  })
  if (rest.length === 0) throw new UsageError('pull needs the name of an image')
  await using engine = await Engine.open({ ...(values.root !== undefined && { root: values.root }), ...lockOf(values) })
  for (const name of rest) {
    const pulling = engine.images.pull(name, values.platform === undefined ? {} : { platform: values.platform })
    if (!values.quiet) await showTransfer(pulling, stderr)
    const { id } = await pulling
    stdout.write(`${name} ${id}\n`)
  }
  return 0
}
