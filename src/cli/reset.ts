import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Engine } from '../engine/engine.ts'
import { defaultRoot } from '../engine/engine-options.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { RootPaths } from '../state/paths.ts'
import { parseOptions, refuseRest } from './parse-options.ts'
import { type Command, UsageError } from './usage-error.ts'

/** Ends every process whose cgroup or command line names something of the root: works without readable records. */
function killProcessesOf(paths: RootPaths): number {
  const ids = readdirSync(paths.containers)
  let killed = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    try {
      const cgroup = readFileSync(`/proc/${name}/cgroup`, 'utf8')
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8')
      const monitor = command.includes('monitor-main') && command.includes(`"root":${JSON.stringify(paths.root)}`)
      if (!monitor && !ids.some((id) => id.length >= 32 && cgroup.includes(id))) continue
      process.kill(Number(name), 'SIGKILL')
      killed++
    } catch {
      // It has ended meanwhile.
    }
  }
  return killed
}

async function removeContainers(root: string): Promise<number> {
  await using engine = await Engine.open({ root })
  let count = 0
  for await (const container of engine.containers.list()) {
    await container.remove({ force: true })
    count++
  }
  return count
}

/** Removes everything of a root: containers, kernel objects, and every file below it. */
export const reset: Command = async (args, { stdout, stderr }) => {
  const { values, rest } = parseOptions(args, { root: { type: 'string' }, yes: { type: 'boolean' } })
  refuseRest(rest)
  const paths = new RootPaths(resolve(values.root ?? defaultRoot))
  if (!values.yes)
    throw new UsageError(`reset deletes all images and containers below ${paths.root}; say --yes if you mean it`)
  try {
    stdout.write(`removed ${await removeContainers(paths.root)} containers\n`)
  } catch (error) {
    // Anything else (not a data root, a newer format, no privilege) is a reason not to delete.
    if (!isEngineError(error, { code: 'state.corrupt' })) throw error
    stderr.write(`tscontainer: ${error.message} Going on without the records.\n`)
    stdout.write(`ended ${killProcessesOf(paths)} processes\n`)
  }
  for (const name of readdirSync(paths.root)) await rm(join(paths.root, name), { recursive: true, force: true })
  stdout.write(`${paths.root} is empty\n`)
  return 0
}
