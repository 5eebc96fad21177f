import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sourceBytes } from './source-bytes.ts'

test('a stream that fails before it is read is told of when it is', async () => {
  const bytes = sourceBytes(createReadStream('/nonexistent/archive'))
  await sleep(50)
  await expect(buffer(bytes)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('release ends what is being waited for', async () => {
  const stream = new Readable({ read() {} })
  const bytes = sourceBytes(stream)
  const first = bytes[Symbol.asyncIterator]().next()
  bytes.release()
  await expect(first).rejects.toMatchObject({ code: 'archive.unreadable' })
  expect(stream.destroyed).toBe(true)
})
