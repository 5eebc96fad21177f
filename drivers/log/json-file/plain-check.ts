/** 1 for every byte that Docker's format does not hold as it is, newlines apart: see line-format.ts. */
const special = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte < 0x20 && byte !== 10) || byte > 0x7e || '"\\<>&'.includes(String.fromCharCode(byte)) ? 1 : 0,
)

/** Texts up to this many characters together can be checked at once. */
export const checkedCharacters = 64 << 10

/**
 * Whether texts are printable ASCII without anything to escape. Looking bytes up in a table is several times as fast as
 * a regular expression per line. One serves all logs of a driver.
 */
export class PlainCheck {
  #bytes: Buffer | null = null

  /** `joined` may hold newlines between the texts. */
  isPlain(joined: string): boolean {
    const { length } = joined
    if (length > checkedCharacters) return false
    this.#bytes ??= Buffer.allocUnsafeSlow(checkedCharacters)
    const bytes = this.#bytes
    // As UTF-8, what is not ASCII takes more bytes than characters, or bytes that the table marks.
    if (bytes.write(joined, 0, 'utf8') !== length) return false
    let found = 0
    let at = 0
    for (; at + 4 <= length; at += 4)
      found |= special[bytes[at]!]! | special[bytes[at + 1]!]! | special[bytes[at + 2]!]! | special[bytes[at + 3]!]!
    for (; at < length; at++) found |= special[bytes[at]!]!
    return found === 0
  }
}
