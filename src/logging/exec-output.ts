import { fromNodeError } from '../errors/host-errors.ts'
import { loggingErrors } from '../errors/logging-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { ByteSource } from './byte-source.ts'

export interface CollectOptions extends CallOptions {
  /** Bytes kept per stream; more fails with `logging.output_too_large`. Default 64 MiB. */
  readonly maxBytes?: number | undefined
}

/** Bytes kept for a reader that is slower than the program, before the program has to wait. */
const readAhead = 1 << 20

/**
 * The bytes of a pipe as they come, to its end. Owns the descriptor from the start on and closes it at the end, when the
 * loop is left, and on disposal. Can be read once.
 */
export class DescriptorReader implements AsyncIterable<Uint8Array>, Disposable {
  readonly #source: ByteSource
  readonly #call: CallOptions
  readonly #onAbort = () => {
    this.#close()
    this.#wake()
  }
  #queue: Uint8Array[] = []
  #queued = 0
  #ended = false
  #failure: Error | null = null
  #wake: () => void = () => {}

  constructor(fd: number, call: CallOptions = {}) {
    this.#call = call
    this.#source = new ByteSource(fd, {
      onBytes: (bytes) => {
        this.#queue.push(bytes)
        this.#queued += bytes.length
        if (this.#queued > readAhead) this.#source.pause()
        this.#wake()
      },
      onEnd: (error) => {
        this.#failure = error
        this.#close()
        this.#wake()
      },
    })
    if (call.signal?.aborted) this.#close()
    else call.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        throwIfAborted(this.#call, 'Reading the output')
        const bytes = this.#queue.shift()
        if (bytes) {
          if (this.#queued > readAhead && this.#queued - bytes.length <= readAhead) this.#source.resume()
          this.#queued -= bytes.length
          yield bytes
        } else if (this.#failure) throw fromNodeError(this.#failure, 'reading the output of a program')
        else if (this.#ended) return
        else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      this[Symbol.dispose]()
    }
  }

  [Symbol.dispose](): void {
    this.#queue = []
    this.#close()
    this.#wake()
  }

  #close(): void {
    this.#ended = true
    this.#call.signal?.removeEventListener('abort', this.#onAbort)
    this.#source.close()
  }
}

/** The bytes of a descriptor as they come; see `DescriptorReader`. */
export function readDescriptor(fd: number, call?: CallOptions): AsyncIterable<Uint8Array> & Disposable {
  return new DescriptorReader(fd, call)
}

async function collect(reader: DescriptorReader, stream: string, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let total = 0
  for await (const bytes of reader) {
    total += bytes.length
    if (total > maxBytes)
      throw loggingErrors.error('output_too_large', {
        message: `A program wrote more than ${maxBytes} bytes to ${stream}. Read its output as a stream, or raise \`maxBytes\`.`,
        details: { stream, maxBytes },
      })
    parts.push(bytes)
  }
  return Buffer.concat(parts, total)
}

/** Reads both descriptors to their end and closes them. On abort, or with too much output, closes both and rejects. */
export async function collectOutput(
  descriptors: { readonly stdout: number; readonly stderr: number },
  options: CollectOptions = {},
): Promise<{ readonly stdout: Buffer; readonly stderr: Buffer }> {
  const maxBytes = options.maxBytes ?? 64 << 20
  using out = new DescriptorReader(descriptors.stdout, options)
  using err = new DescriptorReader(descriptors.stderr, options)
  const [stdout, stderr] = await Promise.all([collect(out, 'stdout', maxBytes), collect(err, 'stderr', maxBytes)])
  return { stdout, stderr }
}
