import { endianness } from 'node:os'

/** nlmsghdr flags. Source: linux/netlink.h. */
export const NLM_F = {
  REQUEST: 0x1,
  ACK: 0x4,
  DUMP_INTR: 0x10,
  REPLACE: 0x100,
  DUMP: 0x300,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
} as const

const NLA_F_NESTED = 0x8000

if (endianness() !== 'LE') throw new TypeError('netlink messages are written for little-endian machines only')

/** A message as the sender remembers it: for the text of its error. */
export interface SentMessage {
  readonly sequence: number
  readonly flags: number
  /** What it was to do, for error messages: `Making the link pair x`. */
  readonly what: string
}

/**
 * Writes netlink messages back to back: headers, attributes with their padding, nesting. The numbers of rtnetlink are in
 * the machine's byte order, those of nfnetlink in the network's (`be` in the names).
 */
export class MessageWriter {
  #bytes = Buffer.alloc(2048)
  #length = 0
  #start = -1
  #sequence: number
  readonly #sent: SentMessage[] = []

  constructor(firstSequence = 1) {
    this.#sequence = firstSequence
  }

  get sent(): readonly SentMessage[] {
    return this.#sent
  }

  /** Starts a message; NLM_F_REQUEST is added. */
  begin(type: number, flags: number, what: string): this {
    this.#close()
    this.#start = this.#length
    const sequence = this.#sequence++
    this.#sent.push({ sequence, flags, what })
    return this.u32(0)
      .u16(type)
      .u16(flags | NLM_F.REQUEST)
      .u32(sequence)
      .u32(0)
  }

  u8(value: number): this {
    const at = this.#take(1)
    this.#bytes.writeUInt8(value, at)
    return this
  }

  u16(value: number): this {
    const at = this.#take(2)
    this.#bytes.writeUInt16LE(value, at)
    return this
  }

  u32(value: number): this {
    const at = this.#take(4)
    this.#bytes.writeUInt32LE(value >>> 0, at)
    return this
  }

  bytes(value: Uint8Array): this {
    const at = this.#take(value.length)
    this.#bytes.set(value, at)
    return this
  }

  attribute(type: number, value: Uint8Array): this {
    return this.u16(4 + value.length)
      .u16(type)
      .bytes(value)
      .#pad()
  }

  attributeU8(type: number, value: number): this {
    return this.u16(5).u16(type).u8(value).#pad()
  }

  attributeU32(type: number, value: number): this {
    return this.u16(8).u16(type).u32(value)
  }

  attributeBe32(type: number, value: number): this {
    this.u16(8).u16(type)
    const at = this.#take(4)
    this.#bytes.writeInt32BE(value | 0, at)
    return this
  }

  attributeBe64(type: number, value: bigint): this {
    this.u16(12).u16(type)
    const at = this.#take(8)
    this.#bytes.writeBigUInt64BE(value, at)
    return this
  }

  /** NUL-terminated. */
  attributeText(type: number, text: string): this {
    return this.attribute(type, Buffer.from(`${text}\0`))
  }

  nest(type: number, content: (writer: this) => void): this {
    const start = this.#take(4)
    content(this)
    this.#bytes.writeUInt16LE(this.#length - start, start)
    this.#bytes.writeUInt16LE(type | NLA_F_NESTED, start + 2)
    return this
  }

  /** All messages so far. */
  finish(): Uint8Array {
    this.#close()
    return this.#bytes.subarray(0, this.#length)
  }

  #close(): void {
    if (this.#start < 0) return
    this.#pad()
    this.#bytes.writeUInt32LE(this.#length - this.#start, this.#start)
    this.#start = -1
  }

  #pad(): this {
    this.#take((4 - (this.#length & 3)) & 3)
    return this
  }

  // May replace the buffer: called before it is looked at.
  #take(size: number): number {
    const at = this.#length
    this.#length += size
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(2 * this.#length)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }
}
