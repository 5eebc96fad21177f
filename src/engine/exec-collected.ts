import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { ExecProcess, SpawnOptions } from '../container/exec-container.ts'
import { abortError, callErrors } from '../errors/call-errors.ts'

/** How a program runs whose output is collected. */
export interface ExecOptions extends Omit<SpawnOptions, 'stdin'> {
  /** What the program reads on standard input. Default: end of file at once. */
  readonly input?: string | Uint8Array
  /** Bytes kept per stream; more is an error. Default 64 MiB. */
  readonly maxOutputBytes?: number
}

/** What a program left behind. The text is UTF-8 with U+FFFD for what is not; `bytes` are exact. */
export interface ExecResult {
  readonly exitCode: number
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly bytes: { readonly stdout: Uint8Array; readonly stderr: Uint8Array }
}

const defaultMax = 64 << 20

/** Settles when both streams are at their end and the exit code is known; on abort the process is killed first. */
export async function execCollected(
  spawn: (options: SpawnOptions) => Promise<ExecProcess>,
  options: ExecOptions = {},
): Promise<ExecResult> {
  const { input, maxOutputBytes = defaultMax, ...rest } = options
  const process = await spawn({ ...rest, stdin: input !== undefined })
  const { signal } = options
  const kill = () => void process.kill('SIGKILL').catch(() => {})
  signal?.addEventListener('abort', kill, { once: true })
  if (signal?.aborted) kill()
  try {
    process.stdin?.end(input)
    const [stdout, stderr, exit] = await Promise.all([
      collect(process.stdout, maxOutputBytes, kill),
      collect(process.stderr, maxOutputBytes, kill),
      process.wait(),
    ])
    if (signal?.aborted) throw abortError(signal, 'exec')
    return { ...exit, stdout: stdout.toString(), stderr: stderr.toString(), bytes: { stdout, stderr } }
  } finally {
    signal?.removeEventListener('abort', kill)
  }
}

async function collect(stream: Readable, max: number, kill: () => void): Promise<Buffer> {
  let seen = 0
  stream.on('data', (chunk: Buffer) => {
    seen += chunk.length
    if (seen <= max) return
    kill()
    stream.destroy(
      callErrors.error('bad_option', {
        message: `The program wrote more than ${max} bytes to one stream. Raise maxOutputBytes, or use spawn() and read as it comes.`,
      }),
    )
  })
  return buffer(stream)
}
