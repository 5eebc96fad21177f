#!/usr/bin/env node
import { check } from './cli/check.ts'
import { df } from './cli/df.ts'
import { doctor } from './cli/doctor.ts'
import { gc } from './cli/gc.ts'
import { images } from './cli/images.ts'
import { prune } from './cli/prune.ts'
import { pull } from './cli/pull.ts'
import { push } from './cli/push.ts'
import { reset } from './cli/reset.ts'
import { rmi } from './cli/rmi.ts'
import { run } from './cli/run.ts'
import { type Command, UsageError } from './cli/usage-error.ts'
import { isEngineError } from './errors/engine-error.ts'

const usage = `usage: tscontainer COMMAND [options]

  doctor [--json]                  what this machine has and lacks, with the package that brings it
  run [options] IMAGE [ARG...]     run a container in the foreground; its exit code is ours
      --load FILE                  load this image tarball first
      -d, --detach                 leave it running and print its id
      -i, --interactive            pass standard input on
      --name NAME  --hostname NAME  -e, --env NAME[=VALUE]  -v, --volume SOURCE:TARGET[:ro]
      -u, --user USER[:GROUP]  -w, --workdir DIR  --entrypoint PROGRAM  --network bridge|host|none
      --lock-file FILE [--frozen | --update]  --offline
      -m, --memory SIZE  --cpus N  --pids-limit N  --read-only
  pull [options] NAME...           bring images from their registries
      --platform OS/ARCH[/VARIANT]  -q, --quiet  --lock-file FILE [--frozen | --update]  --offline
  push [-q] IMAGE [NAME]           send an image to its registry, or by another name
  images [options] [PATTERN]       list images; a PATTERN is of repository[:tag], with * and ?
      -q, --quiet  --no-trunc  --json  --dangling  --label KEY[=VALUE]  --before IMAGE  --since IMAGE
  rmi [-f] [--no-prune] IMAGE...   take names away, and images with their last name
  df [-v] [--blocks] [--json]      what images and containers take on the disk
  prune [-a] [--label KEY[=VALUE]] [--until AGE]
                                   remove stopped containers and dangling images; -a: all images without a container
  gc                               remove what dead processes left and what nothing needs any more
  check [--repair] [--contents] [--json]
                                   what is inconsistent; mended with --repair, also where state.db is damaged
  reset --yes                      remove everything of a root
All but doctor take --root DIR, default /var/lib/tscontainer.
`

/** Exit codes of `run` when the program did not start, as in Docker; 125 for every other failure of ours. */
const startFailures: Readonly<Record<string, number>> = {
  'runtime.command_not_executable': 126,
  'runtime.command_not_found': 127,
}

/** The socket server is planned; its name is taken. */
const serve: Command = async () => {
  process.stderr.write('tscontainer: serve is not supported in this version\n')
  return 1
}

const commands: Readonly<Record<string, Command>> = {
  doctor,
  run,
  pull,
  push,
  images,
  rmi,
  df,
  prune,
  check,
  gc,
  reset,
  serve,
}

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2)
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(usage)
    return name === undefined ? 2 : 0
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  try {
    if (!command) throw new UsageError(`there is no command ${name}`)
    return await command(args, process)
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`tscontainer: ${error.message}\n\n${usage}`)
      return 2
    }
    if (!isEngineError(error)) throw error
    process.stderr.write(`tscontainer: ${error.message} [${error.code}]\n`)
    return name === 'run' ? (startFailures[error.code] ?? 125) : 1
  }
}

process.exitCode = await main()
