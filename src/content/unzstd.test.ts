import { execFileSync } from 'node:child_process'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { unzstd } from './unzstd.ts'

const data = Buffer.alloc(700_000, 'abcd')
for (let at = 0; at < data.length; at += 7) data[at] = (at * 31) & 255
const skippable = Buffer.from([0x5e, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4])
const zeros = Buffer.alloc(1 << 20)
const whole = Buffer.concat([
  skippable,
  zstdCompressSync(data),
  Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]),
  execFileSync('zstd', ['-c', '--check'], { input: data }),
  zstdCompressSync(Buffer.alloc(0)),
  zstdCompressSync(zeros),
  skippable,
])
const pieces = async function* (bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
const unpack = async (bytes: Uint8Array, size: number) =>
  Buffer.concat(await Array.fromAsync(unzstd(pieces(bytes, size))))

describe('frames', () => {
  test.each([1, 3, 7, 1000, 1 << 20])('all of them, in chunks of %d', async (size) => {
    expect((await unpack(whole, size)).equals(Buffer.concat([data, data, zeros]))).toBe(true)
  })

  test.each([13, 500, whole.length - 5])('cut after %d bytes', async (end) => {
    await expect(unpack(whole.subarray(0, end), 100)).rejects.toMatchObject({ code: 'Z_BUF_ERROR' })
  })

  test('something else behind a frame', async () => {
    const bytes = Buffer.concat([zstdCompressSync(data), Buffer.from('garbage')])
    await expect(unpack(bytes, 4096)).rejects.toMatchObject({ code: expect.stringMatching(/^ZSTD_/) })
  })

  test('a source that fails, and a reader that leaves', async () => {
    const failing = async function* () {
      yield whole.subarray(0, 100)
      throw new Error('cable cut')
    }
    await expect(Array.fromAsync(unzstd(failing()))).rejects.toThrow('cable cut')
    let closed = false
    const watched = async function* () {
      try {
        yield* pieces(whole, 10)
      } finally {
        closed = true
      }
    }
    for await (const _chunk of unzstd(watched())) break
    await expect.poll(() => closed).toBe(true)
  })
})
