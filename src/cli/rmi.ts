import { Engine } from '../engine/engine.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { parseOptions } from './parse-options.ts'
import { readableSize } from './table.ts'
import { type Command, UsageError } from './usage-error.ts'

/** Removes names and images; goes on after one that cannot be removed, and says so with its exit code. */
export const rmi: Command = async (args, { stdout, stderr }) => {
  const { values, rest } = parseOptions(args, {
    root: { type: 'string' },
    force: { type: 'boolean', short: 'f' },
    'no-prune': { type: 'boolean' },
  })
  if (rest.length === 0) throw new UsageError('rmi needs the name or id of an image')
  await using engine = await Engine.open(values.root === undefined ? {} : { root: values.root })
  let [failed, freed] = [0, 0]
  for (const image of rest) {
    try {
      const report = await engine.images.remove(image, { force: values.force, noPrune: values['no-prune'] })
      for (const name of report.untagged) stdout.write(`untagged ${name}\n`)
      for (const id of report.deleted) stdout.write(`deleted ${id}\n`)
      freed += report.spaceReclaimed
    } catch (error) {
      if (!isEngineError(error)) throw error
      stderr.write(`tscontainer: ${error.message} [${error.code}]\n`)
      failed++
    }
  }
  stdout.write(`freed ${readableSize(freed)}\n`)
  return failed > 0 ? 1 : 0
}
