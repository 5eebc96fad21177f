import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { compressed } from './parallel-compression.ts'

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const pack = (bytes: Buffer, compression: 'gzip' | 'zstd', size = 70_001) =>
  buffer(compressed(pieces(bytes, size), compression))

const text = (lines: number): Buffer =>
  Buffer.from(Array.from({ length: lines }, (_, at) => `line ${at} of something that repeats itself\n`).join(''))

describe.each(['gzip', 'zstd'] as const)('%s', (compression) => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('x')],
    ['just a block', randomBytes(256 << 10)],
    ['a block and a byte', randomBytes((256 << 10) + 1)],
    ['several blocks of text', text(300_000)],
    ['several blocks of noise', randomBytes(9 << 20)],
  ])('%s: the program of that name unpacks it', async (_, bytes) => {
    const packed = await pack(bytes, compression)
    expect(execFileSync(compression, ['-dc'], { input: packed, maxBuffer: 1 << 30 }).equals(bytes)).toBe(true)
    if (compression === 'gzip') expect(gunzipSync(packed).equals(bytes)).toBe(true)
  })

  test('the same bytes give the same, however they come', async () => {
    const bytes = text(200_000)
    const first = await pack(bytes, compression)
    for (const size of [1 << 20, 4096, bytes.length])
      expect((await pack(bytes, compression, size)).equals(first)).toBe(true)
  })

  test('is about as small as in one piece', async () => {
    const bytes = text(300_000)
    expect((await pack(bytes, compression)).length).toBeLessThan(gzipSync(bytes).length * 1.05)
  })

  test('a source that fails fails it', async () => {
    const failing = async function* () {
      yield randomBytes(1 << 20)
      throw new Error('no more')
    }
    await expect(buffer(compressed(failing(), compression))).rejects.toThrow('no more')
  })
})
