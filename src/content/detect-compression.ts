/** How bytes are packed. */
export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz'

const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
]

/** How many bytes `detectCompression` wants to see. */
export const compressionHead = 6

/** Recognises a compression by its first bytes. Sources: RFC 1952, RFC 8878, the bzip2 and xz format descriptions. */
export function detectCompression(head: Uint8Array): Compression {
  for (const [name, magic] of magics) if (magic.every((byte, at) => head[at] === byte)) return name
  return isSkippableZstd(head) ? 'zstd' : 'none'
}

/** zstd:chunked and pzstd begin with a skippable frame: 0x184D2A50 to 5F, little endian. RFC 8878, 3.1.2. */
const isSkippableZstd = (head: Uint8Array): boolean =>
  head.length >= 4 && (head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18
