import { expect, test } from 'vitest'
import { decodeEntries, encodeEntries } from './entry-codec.ts'
import { LineSplitter } from './line-splitter.ts'

const plain = (entry: ReturnType<typeof decodeEntries>[number]) => ({
  stream: entry.stream,
  time: entry.time,
  bytes: Buffer.from(entry.bytes).toString('hex'),
  text: entry.text,
  partial: entry.partial,
  sequence: entry.sequence,
  approximate: entry.timeIsApproximate,
})

const splitter = new LineSplitter('stderr', 8, { next: 41 })
const batch = [
  ...splitter.push(Buffer.from('a\n\ngrün ✓ long\n\xff\n', 'utf8'), 1_767_323_045_123_456_789n, true),
  ...splitter.end(1_767_323_045_123_456_790n),
]

test('entries survive the way to another process', () => {
  expect(decodeEntries(encodeEntries(batch)).map(plain)).toEqual(batch.map(plain))
  expect(decodeEntries(encodeEntries([]))).toEqual([])
})

test('what is cut or changed is refused with a typed error', () => {
  const bytes = encodeEntries(batch)
  for (let length = 0; length < bytes.length; length++)
    expect(() => decodeEntries(bytes.subarray(0, length))).toThrow(
      expect.objectContaining({ code: 'logging.bad_frame' }),
    )
  expect(() => decodeEntries(Buffer.concat([bytes, Buffer.from('x')]))).toThrow(/after its last/)
  expect(() => decodeEntries(Buffer.from([9, 0, 0, 0, 0]))).toThrow(/version/)
})
