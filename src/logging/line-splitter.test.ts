import { describe, expect, test } from 'vitest'
import { LineSplitter } from './line-splitter.ts'

const split = (chunks: readonly string[], max = 16) => {
  const splitter = new LineSplitter('stdout', max, { next: 1 })
  const entries = chunks.flatMap((chunk, n) => splitter.push(Buffer.from(chunk, 'latin1'), BigInt(n), false))
  return [...entries, ...splitter.end(99n)].map(({ text, partial, sequence }) => ({
    text,
    sequence: Number(sequence),
    mark: partial && `${partial.id}.${partial.ordinal}${partial.last ? '$' : ''}`,
  }))
}
const texts = (chunks: readonly string[], max?: number) =>
  split(chunks, max).map(({ text, mark }) => (mark ? [text, mark] : text))

describe('line splitter', () => {
  test('cuts at newlines wherever the chunks are cut', () => {
    expect(texts(['a\nb\n\nc\n'])).toEqual(['a', 'b', '', 'c'])
    expect(texts(['a', '\nb', '\n', '\n', 'c\n'])).toEqual(['a', 'b', '', 'c'])
  })

  test('output without a newline at the end is a piece that is not the last', () => {
    expect(texts(['a\nfoo'])).toEqual(['a', ['foo', '2.1']])
    expect(texts([])).toEqual([])
    expect(texts(['a\n'])).toEqual(['a'])
  })

  test('pieces of long lines share an id and count', () => {
    const long = 'x'.repeat(40)
    const pieces = [['x'.repeat(16), '1.1'], ['x'.repeat(16), '1.2'], ['xxxxxxxx', '1.3$'], 'y']
    expect(texts([`${long}\ny\n`])).toEqual(pieces)
    expect(texts([...`${long}\ny\n`])).toEqual(pieces)
    expect(texts([long.slice(0, 15), long.slice(15), '\ny\n'])).toEqual(pieces)
  })

  test('a line of exactly the limit ends with an empty piece, as Docker cuts it', () => {
    expect(texts([`${'x'.repeat(16)}\n`])).toEqual([
      ['x'.repeat(16), '1.1'],
      ['', '1.2$'],
    ])
    expect(texts(['x'.repeat(16), '\n'])).toEqual([
      ['x'.repeat(16), '1.1'],
      ['', '1.2$'],
    ])
    expect(texts([`${'x'.repeat(15)}\n`])).toEqual(['x'.repeat(15)])
    expect(texts(['x'.repeat(16)])).toEqual([['x'.repeat(16), '1.1']])
  })

  test('numbers go on without gaps', () => {
    expect(split([`a\n${'x'.repeat(33)}\nb\n`]).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
  })

  test('text is decoded as UTF-8 even when a character is cut by the chunks', () => {
    const bytes = Buffer.from('grün ✓\nascii\n')
    for (let at = 1; at < bytes.length; at++) {
      const splitter = new LineSplitter('stderr', 1000, { next: 1 })
      const parts = [bytes.subarray(0, at), bytes.subarray(at)]
      const entries = parts.flatMap((part) => splitter.push(Buffer.from(part), 0n, false))
      expect(entries.map(({ text }) => text)).toEqual(['grün ✓', 'ascii'])
    }
  })
})
