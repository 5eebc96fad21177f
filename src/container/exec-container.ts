import { closeSync, openSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { parseOptionObject } from '../driver-kit/options.ts'
import type { RuntimeExec } from '../driver-kit/runtime-driver.ts'
import { containerErrors } from '../errors/container-errors.ts'
import { createPipe } from '../host/pipe.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { RuntimeProcess } from '../oci/runtime-spec.ts'
import { mergeEnv } from '../runtime/merge-config.ts'
import { capabilitySets } from '../runtime/process-defaults.ts'
import { parseSignal } from '../runtime/signals.ts'
import { readBundleSpec } from './bundle-spec.ts'
import type { ContainerRecord } from './container-record.ts'
import { readableFrom, writableTo } from './descriptor-streams.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import { lookUpUser } from './root-accounts.ts'
import type { ContainerServices } from './services.ts'
import { requireRunning } from './state-guards.ts'

/** How a further process runs in a container. */
export interface SpawnOptions extends CallOptions {
  /** Added to the container's own environment; undefined unsets. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** `user[:group]`. Default: the container's. */
  readonly user?: string
  /** Absolute. Default: the container's. */
  readonly workdir?: string
  /** Whether `stdin` is a pipe; else the process reads end of file. Default false. */
  readonly stdin?: boolean
}

/** A further process in a container: its streams are apart, its end is its own. */
export interface ExecProcess {
  /** On the host. */
  readonly pid: number
  readonly stdin: Writable | null
  readonly stdout: Readable
  readonly stderr: Readable
  /** Signals this process only, by name or number. Default SIGTERM. */
  kill(signal?: string | number): Promise<void>
  /** Settles when it has ended; output may still be on its way through the streams. */
  wait(): Promise<{ readonly exitCode: number; readonly signal: string | null }>
}

/** Starts a process in a running container; resolves when its program runs. */
export async function spawnInContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  argv: readonly string[],
  options: SpawnOptions = {},
): Promise<ExecProcess> {
  const checked = parseExecOptions(argv, options)
  requireRunning(record, 'exec')
  throwIfAborted(options, `exec in ${record.name}`)
  using _quick = services.quickMoves()
  const task = await liveTask(services, holder, record, options)
  if (!task)
    throw containerErrors.error('not_running', {
      message: `${record.name} ended before ${argv[0]} could be executed in it.`,
      subject: { type: 'container', id: record.id },
    })
  const process = await processSpec(services, record, task.pid, argv, checked)
  const out = createPipe()
  const err = createPipe()
  const input = checked.stdin ? createPipe() : null
  const stdin = input ? input.read : openSync('/dev/null', 'r')
  let exec: RuntimeExec
  try {
    exec = await task.exec(process, { kind: 'pipes', stdin, stdout: out.write, stderr: err.write }, options)
  } catch (error) {
    for (const descriptor of [out.read, err.read, input?.write]) if (descriptor !== undefined) closeSync(descriptor)
    throw error
  } finally {
    for (const descriptor of [stdin, out.write, err.write]) closeSync(descriptor)
  }
  return {
    pid: exec.pid,
    stdin: input ? writableTo(input.write) : null,
    stdout: readableFrom(out.read),
    stderr: readableFrom(err.read),
    kill: (signal = 'SIGTERM') => exec.kill(parseSignal(signal)),
    wait: () => exec.exited,
  }
}

function parseExecOptions(argv: readonly string[], options: SpawnOptions) {
  if (!Array.isArray(argv) || argv.length === 0 || argv.some((word) => typeof word !== 'string' || word.includes('\0')))
    throw containerErrors.error('bad_spec', {
      message: `exec takes a list of at least one word without NUL, got ${JSON.stringify(argv)}.`,
      details: { field: 'argv' },
    })
  const wrong = (key: string, value: unknown, wanted: string) =>
    containerErrors.error('bad_spec', {
      message: `The exec option "${key}" is ${JSON.stringify(value)}; it takes ${wanted}.`,
      details: { field: key },
    })
  return parseOptionObject('exec', options, {
    env: (value, key) => {
      if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, string | undefined>>
      throw wrong(key, value, 'an object')
    },
    user: (value, key) => {
      if (typeof value === 'string') return value
      throw wrong(key, value, "text such as 'user' or '1000:1000'")
    },
    workdir: (value, key) => {
      if (typeof value === 'string' && value.startsWith('/')) return value
      throw wrong(key, value, 'an absolute path')
    },
    stdin: (value, key) => {
      if (typeof value === 'boolean') return value
      throw wrong(key, value, 'true or false')
    },
    signal: (value) => value as AbortSignal,
  })
}

async function processSpec(
  services: ContainerServices,
  record: ContainerRecord,
  pid: number,
  argv: readonly string[],
  options: ReturnType<typeof parseExecOptions>,
): Promise<RuntimeProcess> {
  const bundle = readBundleSpec(services.paths.container(record.id))
  if (!bundle?.process)
    throw containerErrors.error('not_running', {
      message: `${record.name} has no runtime configuration: it ended and was removed meanwhile.`,
      subject: { type: 'container', id: record.id },
    })
  const { process } = bundle
  const changes = { terminal: false, args: [...argv], cwd: options.workdir ?? process.cwd }
  if (options.user === undefined) return { ...process, ...changes, env: mergeEnv(process.env ?? [], options.env ?? {}) }
  const user = lookUpUser(`/proc/${pid}/root`, options.user)
  return {
    ...process,
    ...changes,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    env: mergeEnv(process.env ?? [], { HOME: user.home, ...options.env }),
    capabilities: capabilitySets(user.uid, process.capabilities?.bounding ?? []),
  }
}
