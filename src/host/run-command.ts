import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { abortError } from '../errors/call-errors.ts'
import type { EngineError } from '../errors/engine-error.ts'
import { errnoOf, fromNodeError, hostErrors } from '../errors/host-errors.ts'
import { throwIfAborted } from '../lifetime/call-options.ts'
import type { CommandOptions, CommandResult } from './command.ts'
import { missingProgram } from './missing-program.ts'

/** How long pipes may stay open, held by something that the program left behind, after the program's own end. */
const stragglerMs = 500

function collect(stream: Readable, chunks: Buffer[], onBytes: (length: number) => void): void {
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    onBytes(chunk.length)
  })
  stream.on('error', () => {})
}

/** Kills the program and what it started: it leads a process group of its own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    // Between the fork and setsid there is no group yet.
    if (errnoOf(error) === 'ESRCH') child.kill('SIGKILL')
    else throw error
  }
}

/**
 * Runs a program to its end without a shell. Rejects with `host.program_missing`, `host.program_failed` (an exit code
 * that is not accepted, or a signal), `host.program_timeout`, `host.program_output` or the abort error; the program and
 * its process group are dead by then.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { signal, input, timeoutMs = 60_000, accept = [0], maxOutputBytes = 64 * 2 ** 20, cwd = '/' } = options
  const shown = [file, ...args].join(' ').slice(0, 200)
  throwIfAborted(options, `Running ${shown}`)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let failure: EngineError | null = null
  let child: ChildProcess
  try {
    child = spawn(file, args, {
      cwd,
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
  } catch (error) {
    throw fromNodeError(error, `Starting ${file}`)
  }
  const stop = (error: EngineError) => {
    failure ??= error
    killGroup(child)
  }
  let bytes = 0
  const onBytes = (length: number) => {
    bytes += length
    if (bytes <= maxOutputBytes) return
    stdout.length = 0
    stop(
      hostErrors.error('program_output', {
        message: `${shown} wrote more than ${maxOutputBytes} bytes and was killed.`,
        details: { maxOutputBytes },
      }),
    )
  }
  collect(child.stdout!, stdout, onBytes)
  collect(child.stderr!, stderr, onBytes)
  // A program may end without reading its input.
  child.stdin?.on('error', () => {})
  if (input !== undefined) child.stdin?.end(input)

  const timer = setTimeout(
    () =>
      stop(
        hostErrors.error('program_timeout', {
          message: `${shown} did not end within ${timeoutMs} ms and was killed. Its last words: ${lastWords(stderr)}`,
          details: { timeoutMs },
        }),
      ),
    timeoutMs,
  )
  const onAbort = () => stop(abortError(signal!, `Running ${shown}`))
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const { code, signal: how } = await ended(child, file, cwd)
    if (failure) throw failure
    const result = {
      exitCode: code ?? -1,
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
    }
    if (code !== null && accept.includes(code)) return result
    throw hostErrors.error('program_failed', {
      message: `${shown} ended with ${code === null ? `signal ${how}` : `status ${code}`}: ${lastWords(stderr) || lastWords(stdout)}`,
      subject: { type: 'program', id: file },
      details: { ...result, signal: how, args },
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function ended(
  child: ChildProcess,
  file: string,
  cwd: string,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(errnoOf(error) === 'ENOENT' ? missingProgram(file, error, cwd) : fromNodeError(error, `Starting ${file}`)),
    )
    child.once('exit', (code, signal) => {
      const done = () => {
        clearTimeout(straggler)
        child.stdout!.destroy()
        child.stderr!.destroy()
        child.stdin?.destroy()
        resolve({ code, signal })
      }
      const straggler = setTimeout(done, stragglerMs)
      child.once('close', done)
    })
  })
}

/** The end of what a program wrote, short enough for a message. */
function lastWords(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks.slice(-4)).subarray(-2000).toString().trim().split('\n').slice(-3).join(' / ')
}
