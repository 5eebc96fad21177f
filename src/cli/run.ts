import type { AttachedStreams } from '../container/attach-container.ts'
import type { ContainerSpec } from '../container/container-spec.ts'
import type { Container } from '../engine/container.ts'
import { Engine } from '../engine/engine.ts'
import { lockOf, lockOptions } from './lock-options.ts'
import { parseNumber, parseOptions } from './parse-options.ts'
import { type Command, type Streams, UsageError } from './usage-error.ts'

const options = {
  root: { type: 'string' },
  load: { type: 'string' },
  name: { type: 'string' },
  env: { type: 'string', short: 'e', multiple: true },
  volume: { type: 'string', short: 'v', multiple: true },
  user: { type: 'string', short: 'u' },
  workdir: { type: 'string', short: 'w' },
  hostname: { type: 'string' },
  entrypoint: { type: 'string' },
  network: { type: 'string' },
  memory: { type: 'string', short: 'm' },
  cpus: { type: 'string' },
  'pids-limit': { type: 'string' },
  'storage-opt': { type: 'string', multiple: true },
  'read-only': { type: 'boolean' },
  interactive: { type: 'boolean', short: 'i' },
  detach: { type: 'boolean', short: 'd' },
  ...lockOptions,
} as const

type Values = ReturnType<typeof parseOptions<typeof options>>['values']

/** NAME=VALUE, or NAME alone for this process's own value. */
function parseEnvironment(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const at = entry.indexOf('=')
      if (at === 0) throw new UsageError(`--env takes NAME=VALUE or NAME, not "${entry}"`)
      if (at > 0) return [[entry.slice(0, at), entry.slice(at + 1)]]
      const own = process.env[entry]
      return own === undefined ? [] : [[entry, own]]
    }),
  )
}

/** Docker's form; `size` is the only one it has on Linux. */
function parseStorageOptions(entries: readonly string[]): Pick<ContainerSpec, 'storageSize'> {
  let given: Pick<ContainerSpec, 'storageSize'> = {}
  for (const entry of entries) {
    if (!entry.startsWith('size=')) throw new UsageError(`--storage-opt takes size=BYTES, not "${entry}"`)
    given = { storageSize: entry.slice('size='.length) }
  }
  return given
}

const networksOf = (name: string): NonNullable<ContainerSpec['networks']> =>
  name === 'none' || name === 'host' ? name : [name]

function specOf(values: Values, image: string, command: readonly string[]): ContainerSpec {
  const resources = {
    ...(values.memory !== undefined && { memory: values.memory }),
    ...(values.cpus !== undefined && { cpus: parseNumber('cpus', values.cpus) }),
    ...(values['pids-limit'] !== undefined && { pids: parseNumber('pids-limit', values['pids-limit']) }),
  }
  return {
    image,
    ...(command.length > 0 && { command }),
    ...(values.name !== undefined && { name: values.name }),
    ...(values.env !== undefined && { env: parseEnvironment(values.env) }),
    ...(values.volume !== undefined && { mounts: values.volume }),
    ...(values.user !== undefined && { user: values.user }),
    ...(values.workdir !== undefined && { workdir: values.workdir }),
    ...(values.hostname !== undefined && { hostname: values.hostname }),
    ...(values.entrypoint !== undefined && { entrypoint: values.entrypoint === '' ? null : [values.entrypoint] }),
    ...(values.network !== undefined && { networks: networksOf(values.network) }),
    ...parseStorageOptions(values['storage-opt'] ?? []),
    ...(values['read-only'] && { readOnly: true }),
    ...(values.interactive && { stdin: true }),
    ...(values.detach && { lifetime: 'detached' }),
    resources,
  }
}

/** Passes this process's signals on to the container for as long as the scope lives. */
function forwardSignals(container: Container): Disposable {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
  const forward = (name: NodeJS.Signals) => void container.kill(name).catch(() => {})
  for (const name of names) process.on(name, forward)
  return {
    [Symbol.dispose]() {
      for (const name of names) process.off(name, forward)
    },
  }
}

const ended = (stream: NodeJS.ReadableStream): Promise<void> =>
  new Promise((resolve, reject) => void stream.once('end', resolve).once('close', resolve).once('error', reject))

async function runInForeground(engine: Engine, spec: ContainerSpec, streams: Streams): Promise<number> {
  await using container = await engine.containers.create({ ...spec, stdin: true })
  await container.start()
  using _signals = forwardSignals(container)
  await using attached: AttachedStreams = await container.attach({ replay: true })
  if (spec.stdin) {
    if (attached.stdin) streams.stdin.pipe(attached.stdin)
  } else attached.stdin?.end()
  attached.stdout.pipe(streams.stdout, { end: false })
  attached.stderr.pipe(streams.stderr, { end: false })
  await Promise.all([ended(attached.stdout), ended(attached.stderr)])
  const { exitCode } = await container.wait()
  streams.stdin.unpipe()
  // An open terminal or pipe would keep this process waiting for input that nobody reads.
  if (spec.stdin) streams.stdin.destroy()
  return exitCode
}

/** Runs a container: in the foreground until it ends and with its exit code, or detached. */
export const run: Command = async (args, streams) => {
  const { values, rest } = parseOptions(args, options)
  const [image, ...command] = rest
  if (image === undefined) throw new UsageError('run needs the name of an image')
  if (values.detach && values.interactive) throw new UsageError('--detach and --interactive exclude one another')
  const spec = specOf(values, image, command)
  await using engine = await Engine.open({ ...(values.root !== undefined && { root: values.root }), ...lockOf(values) })
  if (values.load !== undefined) await engine.images.load(values.load)
  if (!values.detach) return await runInForeground(engine, spec, streams)
  const container = (await engine.containers.run(spec)).keep()
  streams.stdout.write(`${container.id}\n`)
  return 0
}
