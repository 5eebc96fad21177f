/** How a layer is packed, told by its first bytes. */
export type LayerCompression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz'

const magics: readonly (readonly [LayerCompression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  // A skippable frame may come first (RFC 8878, 3.1.2).
  ['zstd', [0x50, 0x2a, 0x4d, 0x18]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
]

/** Enough bytes to tell. */
export const magicLength = 6

export function detectCompression(start: Uint8Array): LayerCompression {
  return magics.find(([, magic]) => magic.every((byte, at) => start[at] === byte))?.[0] ?? 'none'
}
