import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { decompressed } from './compression.ts'

const text = Buffer.from('text '.repeat(1000))
const heads = {
  none: text,
  gzip: gzipSync(text),
  zstd: zstdCompressSync(text),
  xz: Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), Buffer.alloc(600)]),
  bzip2: Buffer.concat([Buffer.from('BZh91AY&SY'), Buffer.alloc(600)]),
}

test.each(Object.entries(heads))('an abort while the first bytes of %s come ends the source', async (_, head) => {
  const controller = new AbortController()
  const { promise: coming, resolve: come } = Promise.withResolvers<void>()
  let ended = false
  const source = async function* () {
    try {
      await coming
      yield head
      yield* Array<Buffer>(100).fill(text)
    } finally {
      ended = true
    }
  }
  const chunks = decompressed(source(), controller)
  const first = chunks.next()
  // As whoever reads it does, who cannot wait for what may stall.
  controller.abort()
  const left = chunks.return(undefined)
  come()
  await first.catch(() => {})
  await left
  for (let nth = 0; nth < 100 && !ended; nth++) await turn()
  expect(ended).toBe(true)
})
