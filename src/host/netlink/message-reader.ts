/** One message of the kernel; the parts are views of the receive buffer's copy. */
export interface ReceivedMessage {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  /** Without the netlink header. */
  readonly body: Buffer
}

/** Splits what one recv(2) gave. A message whose length does not fit ends the list: the kernel never sends one. */
export function* readMessages(bytes: Buffer): Generator<ReceivedMessage> {
  let at = 0
  while (at + 16 <= bytes.length) {
    const length = bytes.readUInt32LE(at)
    if (length < 16 || at + length > bytes.length) return
    yield {
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      body: bytes.subarray(at + 16, at + length),
    }
    at += (length + 3) & ~3
  }
}

/** Attributes by type, flags removed; of several with one type the last. */
export class Attributes {
  readonly #values = new Map<number, Buffer>()
  readonly #list: Buffer[] = []

  constructor(bytes: Buffer, offset = 0) {
    let at = offset
    while (at + 4 <= bytes.length) {
      const length = bytes.readUInt16LE(at)
      if (length < 4 || at + length > bytes.length) return
      const value = bytes.subarray(at + 4, at + length)
      this.#values.set(bytes.readUInt16LE(at + 2) & 0x3fff, value)
      this.#list.push(value)
      at += (length + 3) & ~3
    }
  }

  /** The values in order, for lists whose elements all have one type. */
  get elements(): readonly Buffer[] {
    return this.#list
  }

  bytes(type: number): Buffer | null {
    return this.#values.get(type) ?? null
  }

  nested(type: number): Attributes | null {
    const value = this.#values.get(type)
    return value ? new Attributes(value) : null
  }

  u32(type: number): number | null {
    const value = this.#values.get(type)
    return value && value.length >= 4 ? value.readUInt32LE(0) : null
  }

  be32(type: number): number | null {
    const value = this.#values.get(type)
    return value && value.length >= 4 ? value.readInt32BE(0) : null
  }

  be64(type: number): bigint | null {
    const value = this.#values.get(type)
    return value && value.length >= 8 ? value.readBigUInt64BE(0) : null
  }

  /** Up to the first NUL. */
  text(type: number): string | null {
    const value = this.#values.get(type)
    if (!value) return null
    const end = value.indexOf(0)
    return value.toString('utf8', 0, end < 0 ? value.length : end)
  }
}
