import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { type Compression, compressionHead, detectCompression } from './detect-compression.ts'

const packed = (program: string, ...args: string[]) => execFileSync(program, args, { input: 'a text' })
const zstd = packed('zstd', '-qc')

test.each<[Compression, string, Uint8Array]>([
  ['gzip', 'what gzip writes', packed('gzip', '-c')],
  ['bzip2', 'what bzip2 writes', packed('bzip2', '-c')],
  ['xz', 'what xz writes', packed('xz', '-c')],
  ['zstd', 'what zstd writes', zstd],
  ['zstd', 'a skippable frame in front', Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0, ...zstd])],
  ['zstd', 'the last of the skippable frames', Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0, ...zstd])],
  ['none', 'a frame that is none', Buffer.from([0x60, 0x2a, 0x4d, 0x18, 0, 0])],
  ['none', 'nothing', Buffer.alloc(0)],
  ['none', 'half of a beginning', Buffer.from([0x28, 0xb5, 0x2f])],
  ['none', 'a tar', Buffer.concat([Buffer.from('file'), Buffer.alloc(508)])],
])('%s: %s', (compression, _, bytes) => {
  expect(detectCompression(bytes.subarray(0, compressionHead))).toBe(compression)
})
