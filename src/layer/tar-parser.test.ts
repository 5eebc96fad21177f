import { describe, expect, test } from 'vitest'
import { isEngineError } from '../errors/engine-error.ts'
import { defaultLayerLimits, type LayerLimits } from './layer-limits.ts'
import { emptyEntry, type TarEntry } from './tar-entry.ts'
import { encodeHeader, endOfTar, padding } from './tar-header-writer.ts'
import { TarParser } from './tar-parser.ts'

const plain: TarEntry = { ...emptyEntry, path: Buffer.from('x'), mode: 0o644 }

interface Read {
  readonly entry: TarEntry
  data: string
  ended: boolean
}

/** Everything a tar holds, fed in pieces of that size. */
function parse(tar: Buffer, piece = tar.length, limits: Partial<LayerLimits> = {}): Read[] {
  const read: Read[] = []
  const parser = new TarParser(
    {
      entry: (entry) => read.push({ entry, data: '', ended: false }),
      data: (chunk) => {
        read.at(-1)!.data += chunk.toString('latin1')
      },
      end: () => {
        const last = read.at(-1)
        if (last) last.ended = true
      },
    },
    { ...defaultLayerLimits, ...limits },
  )
  for (let at = 0; at < tar.length; at += piece) parser.push(tar.subarray(at, at + piece))
  parser.finish()
  return read
}

const file = (entry: Partial<TarEntry>, body = ''): Buffer =>
  Buffer.concat([
    encodeHeader({ ...plain, ...entry, size: body.length }),
    Buffer.from(body),
    Buffer.alloc(padding(body.length)),
  ])

/** A header as it stands, with fields overwritten and the checksum made right. */
function raw(fields: Readonly<Record<number, string | Buffer>>, body = '', entry: Partial<TarEntry> = {}): Buffer {
  const header = encodeHeader({ ...plain, ...entry, size: body.length })
  for (const [at, value] of Object.entries(fields)) Buffer.from(value).copy(header, Number(at))
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return Buffer.concat([header, Buffer.from(body), Buffer.alloc(padding(body.length))])
}

const pax = (type: 'x' | 'g', ...records: readonly (readonly [string, string])[]): Buffer =>
  raw({ 156: type }, records.map(([key, value]) => record(key, value)).join(''))

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  for (let length = rest.length; ; length++) if (`${length}${rest}`.length === length) return `${length}${rest}`
}

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    if (isEngineError(error)) return error.code
    throw error
  }
}

describe('what the writer writes', () => {
  const entries: Partial<TarEntry>[] = [
    { path: Buffer.from('short') },
    { path: Buffer.from(`${'d'.repeat(90)}/${'f'.repeat(200)}`) },
    { path: Buffer.from('latin-\xe9', 'latin1'), mode: 0o4755 },
    { path: Buffer.from('line\nbreak='), uid: 3_000_000, gid: 4_294_967_294 },
    { path: Buffer.from('before'), mtime: { seconds: -2, nanoseconds: 250_000_000 } },
    { path: Buffer.from('far'), mtime: { seconds: 2 ** 35, nanoseconds: 1 } },
    { path: Buffer.from('dev'), type: 'block', device: { major: 4095, minor: 1_048_575 } },
    { path: Buffer.from('soft'), type: 'symlink', link: Buffer.from(`\xff${'t'.repeat(300)}`, 'latin1') },
    { path: Buffer.from('hard'), type: 'hardlink', link: Buffer.from('short') },
    {
      path: Buffer.from('attributes'),
      xattrs: new Map([
        ['user.empty', Buffer.alloc(0)],
        ['user.zeros', Buffer.from('a\0b\n9 =')],
      ]),
    },
  ]

  test.each([1, 7, 511, 512, 100_000])('is read again in pieces of %d bytes', (piece) => {
    const bodies = entries.map(({ type }, index) => (type ? '' : 'b'.repeat(index * 300)))
    const tar = Buffer.concat([...entries.map((entry, index) => file(entry, bodies[index])), endOfTar])
    const read = parse(tar, piece)
    expect(read.map(({ entry }) => entry)).toEqual(
      entries.map((entry, index) => ({ ...plain, ...entry, size: bodies[index]!.length })),
    )
    expect(read.map(({ data }) => data)).toEqual(bodies)
    expect(read.every(({ ended }) => ended)).toBe(true)
  })

  test.each([99, 100, 101, 995, 996, 997, 9_990, 9_991])(
    'a record of about %d bytes counts its own digits',
    (length) => {
      const path = Buffer.from(`é${'p'.repeat(length)}`)
      expect(parse(Buffer.concat([file({ path }), endOfTar]))[0]!.entry.path).toEqual(path)
    },
  )
})

describe('what others write', () => {
  test('numbers in base 256, also negative', () => {
    const negative = Buffer.alloc(12, 0xff)
    negative[11] = 0xfe
    const large = Buffer.from([0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe])
    const [{ entry }] = parse(raw({ 108: large, 136: negative })) as [Read]
    expect(entry.uid).toBe(4_294_967_294)
    expect(entry.mtime).toEqual({ seconds: -2, nanoseconds: 0 })
  })

  test('ustar prefixes, and none in GNU headers', () => {
    const prefixed = parse(raw({ 0: 'name', 345: 'in/front' }))
    expect(prefixed[0]!.entry.path.toString()).toBe('in/front/name')
    const gnu = parse(raw({ 0: 'name', 257: 'ustar  \0', 345: 'time' }))
    expect(gnu[0]!.entry.path.toString()).toBe('name')
  })

  test('GNU long names and targets', () => {
    const long = 'l'.repeat(300)
    const tar = Buffer.concat([
      raw({ 0: '././@LongLink', 156: 'L' }, `${long}\0`),
      raw({ 0: '././@LongLink', 156: 'K' }, `${long}2\0`),
      raw({ 0: 'l', 156: '2' }),
      raw({ 0: 'after' }),
    ])
    const [first, second] = parse(tar) as [Read, Read]
    expect([first.entry.path.toString(), first.entry.link.toString()]).toEqual([long, `${long}2`])
    expect(second.entry.path.toString()).toBe('after')
  })

  test('global headers hold until local ones say otherwise', () => {
    const tar = Buffer.concat([
      pax('g', ['mtime', '5.5'], ['SCHILY.xattr.user.all', 'g']),
      raw({ 0: 'a' }),
      pax('x', ['mtime', '6'], ['SCHILY.xattr.user.all', 'l']),
      raw({ 0: 'b' }),
      raw({ 0: 'c' }),
    ])
    const said = parse(tar).map(({ entry }) => [entry.mtime, entry.xattrs.get('user.all')?.toString()])
    expect(said).toEqual([
      [{ seconds: 5, nanoseconds: 500_000_000 }, 'g'],
      [{ seconds: 6, nanoseconds: 0 }, 'l'],
      [{ seconds: 5, nanoseconds: 500_000_000 }, 'g'],
    ])
  })

  test('old directories are files with a slash; volume labels and empty extended headers are nothing', () => {
    const tar = Buffer.concat([raw({ 0: 'label', 156: 'V' }), pax('x'), raw({ 0: 'dir/', 156: '\0' }), raw({ 0: 'f' })])
    expect(parse(tar).map(({ entry }) => entry.type)).toEqual(['directory', 'file'])
  })

  test('sizes of links and directories are no data', () => {
    const tar = Buffer.concat([raw({ 0: 'd', 124: '00000001000\0', 156: '5' }), raw({ 0: 'f' })])
    expect(parse(tar).map(({ entry }) => [entry.type, entry.size])).toEqual([
      ['directory', 0],
      ['file', 0],
    ])
  })
})

describe('damage', () => {
  test.each([
    ['a record that leads past the end', () => raw({ 156: 'x' }, '99 path=x\n'), 'layer.malformed'],
    ['a record without a number', () => raw({ 156: 'x' }, 'path=x\n'), 'layer.malformed'],
    ['a time that is none', () => Buffer.concat([pax('x', ['mtime', 'noon']), raw({})]), 'layer.malformed'],
    ['a size that is none', () => Buffer.concat([pax('x', ['size', '1e3']), raw({})]), 'layer.malformed'],
    ['a negative size', () => Buffer.concat([pax('x', ['size', '-1']), raw({})]), 'layer.malformed'],
    ['a number that is none', () => raw({ 108: 'abcdefg\0' }), 'layer.malformed'],
    ['an unknown type', () => raw({ 156: 'Z' }), 'layer.unsupported_entry'],
    ['a large extended header', () => raw({ 124: '77777777777\0', 156: 'x' }), 'layer.limit_exceeded'],
    ['a large file', () => Buffer.concat([pax('x', ['size', '2199023255552']), raw({})]), 'layer.limit_exceeded'],
    ['a map of holes that runs backwards', () => sparse('5,5,0,5', 10, 10), 'layer.malformed'],
    ['a map of holes with more data than there is', () => sparse('0,5,100,50', 200, 10), 'layer.malformed'],
    ['an odd map of holes', () => sparse('0,5,7', 10, 5), 'layer.malformed'],
    ['an endless map of holes', () => endlessMap(), 'layer.malformed'],
  ])('%s', (_, tar, code) => {
    expect(codeOf(() => parse(tar()))).toBe(code)
  })

  test('whatever is done to a tar, it is read or refused with a type', () => {
    const tar = Buffer.concat([
      pax('x', ['path', 'long'.repeat(40)], ['SCHILY.xattr.user.a', 'b']),
      raw({}, 'y'.repeat(600)),
      sparse('0,5,600,5', 700, 10),
      raw({ 156: 'L' }, 'name\0'),
      raw({ 156: '2' }, '', { link: Buffer.from('to') }),
      endOfTar,
    ])
    let seed = 1
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor((seed / 2 ** 31) * below)
    }
    const codes = new Set<string>()
    for (let round = 0; round < 3000; round++) {
      const copy = Buffer.from(tar.subarray(0, round % 5 === 0 ? random(tar.length) : tar.length))
      for (let hits = random(4); hits > 0 && copy.length > 0; hits--) copy[random(copy.length)] = random(256)
      codes.add(codeOf(() => parse(copy, 1 + random(2000))))
    }
    expect([...codes].sort()).toEqual(['accepted', 'layer.malformed', 'layer.truncated'])
  })
})

function sparse(map: string, size: number, stored: number): Buffer {
  const records = [
    ['GNU.sparse.map', map],
    ['GNU.sparse.size', String(size)],
  ] as const
  return Buffer.concat([pax('x', ...records), raw({}, 's'.repeat(stored))])
}

const endlessMap = (): Buffer =>
  Buffer.concat([
    pax('x', ['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '10']),
    raw({}, '1'.repeat(5000)),
  ])
