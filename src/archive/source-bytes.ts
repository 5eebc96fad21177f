import { Readable } from 'node:stream'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { archiveErrors } from '../errors/archive-errors.ts'
import { callErrors } from '../errors/call-errors.ts'

/** Bytes from anywhere: a Node stream, a web stream, a generator. */
export type StreamSource = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

export interface SourceBytes extends AsyncIterable<Uint8Array> {
  /** Ends the stream, also one whose next bytes are being waited for: that no generator around it can. */
  release(): void
}

/**
 * Looks at what somebody gave as a source before anything is begun.
 *
 * @throws `call.bad_option` for what is neither a path nor a stream that can still be read
 */
export function checkSource(verb: string, source: unknown): void {
  const fail = (message: string) =>
    callErrors.error('bad_option', { message, subject: { type: 'option', id: 'source' }, details: { key: 'source' } })
  if (typeof source === 'string') return
  const isStream =
    typeof source === 'object' &&
    source !== null &&
    !ArrayBuffer.isView(source) &&
    (Symbol.asyncIterator in source || Symbol.iterator in source)
  if (!isStream) {
    const given = source === null ? 'null' : ArrayBuffer.isView(source) ? 'the bytes themselves' : typeof source
    throw fail(`${verb} takes a path, a URL or a stream of bytes as its source, not ${given}.`)
  }
  if (source instanceof ReadableStream ? source.locked : isOver(source))
    throw fail(`The stream given to ${verb} has been read, destroyed or locked by somebody before. Give a fresh one.`)
}

const isOver = (source: object): boolean =>
  ('destroyed' in source && source.destroyed === true) || ('readableEnded' in source && source.readableEnded === true)

/**
 * The bytes of somebody's stream; errors of its own pass, `describe` may make others of them.
 *
 * @throws `archive.unreadable` when it yields something else, or is destroyed before its end
 */
export function sourceBytes(source: StreamSource, describe = (error: unknown): unknown => error): SourceBytes {
  // A web stream that is being read can be cancelled by its reader only.
  const stream =
    source instanceof ReadableStream
      ? Readable.fromWeb(source as NodeReadableStream<Uint8Array>, { objectMode: true })
      : source
  // A failure before the first bytes are asked for would end the process; the loop tells of it all the same.
  if (stream instanceof Readable) stream.on('error', () => {})
  const bytes = checked(stream, describe)
  return {
    [Symbol.asyncIterator]: () => bytes,
    release: () => {
      if ('destroy' in stream && typeof stream.destroy === 'function') stream.destroy()
    },
  }
}

async function* checked(
  source: AsyncIterable<unknown>,
  describe: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of source) {
      if (!(chunk instanceof Uint8Array))
        throw archiveErrors.error('unreadable', {
          message: 'The stream yields something else than bytes (Uint8Array). Remove its encoding.',
        })
      yield chunk
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw describe(error)
    throw archiveErrors.error('unreadable', {
      message: 'The stream was destroyed before its end. Give one that is left alone until the call has settled.',
      cause: error,
    })
  }
}
