import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Engine } from '../engine/engine.ts'
import { defaultRoot } from '../engine/engine-options.ts'
import { killProcesses, roleOf } from '../engine/root-processes.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { RootPaths } from '../state/paths.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import { type Command, UsageError } from './usage-error.ts'

/** Ends every process that belongs to the root; works without readable records. */
function killProcessesOf(paths: RootPaths): number {
  const ids = readdirSync(paths.containers).filter((id) => id.length >= 32)
  return killProcesses((pid) => {
    const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    return ids.some((id) => cgroup.includes(id)) || roleOf(pid, paths) !== null
  })
}

async function resetRecorded(root: string): Promise<number> {
  await using engine = await Engine.open({ root })
  return (await engine.reset()).length
}

/** Removes everything of a root: containers, kernel objects, and every file below it. */
export const reset: Command = async (args, { stdout, stderr }) => {
  const { values, rest } = parseOptions(args, { root: { type: 'string' }, yes: { type: 'boolean' } })
  refuseRest(rest)
  const paths = new RootPaths(resolve(values.root ?? defaultRoot))
  if (!values.yes)
    throw new UsageError(`reset deletes all images and containers below ${paths.root}; say --yes if you mean it`)
  try {
    stdout.write(`removed ${await resetRecorded(paths.root)} containers\n`)
  } catch (error) {
    // Anything else (not a data root, a newer format, no privilege) is a reason not to delete.
    if (!isEngineError(error) || !['state.corrupt', 'state.rebuilding'].includes(error.code)) throw error
    stderr.write(`tscontainer: ${error.message} Going on without the records.\n`)
    // Twice: a monitor's end may have been noticed and made good before the one who noticed was ended, too.
    const ended = killProcessesOf(paths) + killProcessesOf(paths)
    stdout.write(`ended ${ended} processes\n`)
  }
  for (const name of readdirSync(paths.root)) await rm(join(paths.root, name), { recursive: true, force: true })
  stdout.write(`${paths.root} is empty\n`)
  return 0
}
