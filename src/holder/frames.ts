import { holderErrors } from '../errors/holder-errors.ts'

/**
 * What a frame carries: JSON, or bytes of one of the three standard streams. `stdin-taken` answers one `stdin` or
 * `stdin-end`; `over` is the last one when the container has ended. Both since protocol 2.
 */
export type FrameKind = 'json' | 'stdin' | 'stdout' | 'stderr' | 'stdin-end' | 'stdin-taken' | 'over'

const kinds: readonly FrameKind[] = ['json', 'stdin', 'stdout', 'stderr', 'stdin-end', 'stdin-taken', 'over']

export interface Frame {
  readonly kind: FrameKind
  readonly payload: Buffer
}

/** Larger frames are a defect or an attack. */
const maxPayload = 8 << 20

/** A frame on the wire: 4 bytes length of the payload (big endian), 1 byte kind, payload. */
export function encodeFrame(kind: FrameKind, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload
  const frame = Buffer.allocUnsafe(5 + body.length)
  frame.writeUInt32BE(body.length, 0)
  frame[4] = kinds.indexOf(kind)
  frame.set(body, 5)
  return frame
}

export const encodeJson = (value: unknown): Buffer => encodeFrame('json', JSON.stringify(value))

/** Splits a byte stream into frames. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Iterable<Frame> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    while (this.#pending.length >= 5) {
      const length = this.#pending.readUInt32BE(0)
      const kind = kinds[this.#pending[4]!]
      if (length > maxPayload || kind === undefined)
        throw holderErrors.error('protocol', {
          message: `The peer sent a frame of kind ${this.#pending[4]} and ${length} bytes, which this protocol does not have. Two incompatible versions may share this root.`,
        })
      if (this.#pending.length < 5 + length) return
      const payload = this.#pending.subarray(5, 5 + length)
      this.#pending = this.#pending.subarray(5 + length)
      yield { kind, payload }
    }
  }
}
