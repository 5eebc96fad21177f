import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { abortError } from '../errors/call-errors.ts'
import { hostErrors } from '../errors/host-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { missingProgram } from './missing-program.ts'

/**
 * Sends bytes through a program (`xz -dc`) and yields what it writes. Nothing is read ahead of the consumer but the
 * pipes. The program is killed when the loop is left early or the signal fires.
 *
 * @throws `host.program_missing` with the package that brings it, `host.program_failed` with its last words
 */
export async function* filterCommand(
  file: string,
  args: readonly string[],
  input: AsyncIterable<Uint8Array>,
  call: CallOptions = {},
): AsyncGenerator<Uint8Array> {
  if (call.signal?.aborted) throw abortError(call.signal, `Running ${file}`)
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = Promise.withResolvers<{ code: number | null; signal: string | null }>()
  child.once('error', (cause) => ended.reject(missingProgram(file, cause)))
  child.once('close', (code, signal) => ended.resolve({ code, signal }))
  ended.promise.catch(() => {})
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-2000)
  })
  // The reason of a failed input outranks what the program says about it.
  let inputFailure: { readonly error: unknown } | null = null
  const feeding = pipeline(Readable.from(input, { objectMode: false }), child.stdin).catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code
    // The program may end before it has read everything: its exit status says whether that was right.
    if (code !== 'EPIPE' && code !== 'ERR_STREAM_PREMATURE_CLOSE') {
      inputFailure = { error }
      child.kill('SIGKILL')
    }
  })
  const kill = () => child.kill('SIGKILL')
  call.signal?.addEventListener('abort', kill, { once: true })
  let finished = false
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer
    const { code, signal } = await ended.promise
    finished = true
    if (call.signal?.aborted) throw abortError(call.signal, `Running ${file}`)
    await feeding
    if (inputFailure) throw (inputFailure as { readonly error: unknown }).error
    if (code !== 0)
      throw hostErrors.error('program_failed', {
        message: `${file} ${args.join(' ')} ended with ${signal ?? `status ${code}`}: ${words.trim() || 'it said nothing'}`,
        subject: { type: 'program', id: file },
        details: { exitCode: code, signal, stderr: words },
      })
  } finally {
    call.signal?.removeEventListener('abort', kill)
    if (!finished) {
      kill()
      // Its streams must be gone before the caller goes on; a missing program has none.
      await ended.promise.catch(() => {})
    }
  }
}
