import { describe, expect, test } from 'vitest'
import { parseMountInfo, readMountTable } from './mount-info.ts'

describe('mountinfo', () => {
  test('fields, escapes and optional fields', () => {
    const [entry] = parseMountInfo(
      '36 35 98:0 /mnt1 /mnt\\0402\\011\\134x rw,noatime master:1 propagate_from:2 - ext3 /dev/ro\\012ot rw,errors=continue\n',
    )
    expect(entry).toEqual({
      id: 36,
      parent: 35,
      device: '98:0',
      root: '/mnt1',
      target: '/mnt 2\t\\x',
      options: ['rw', 'noatime'],
      propagation: ['master:1', 'propagate_from:2'],
      type: 'ext3',
      source: '/dev/ro\not',
      superOptions: ['rw', 'errors=continue'],
    })
  })

  test('no optional fields, empty source, a dash as a name, broken lines', () => {
    const table = parseMountInfo(
      ['1 0 0:1 / / rw - tmpfs - rw', '2 1 0:2 / /- rw shared:1 - tmpfs  rw', 'nonsense', '', '3 1 0:3 / /a'].join(
        '\n',
      ),
    )
    expect(table.map((entry) => [entry.target, entry.source, entry.propagation])).toEqual([
      ['/', '-', []],
      ['/-', '', ['shared:1']],
    ])
  })

  test('names that are no UTF-8 survive when asked for exactly', () => {
    const text = Buffer.from('1 0 0:1 / /a\xff rw - tmpfs x rw', 'latin1').toString('latin1')
    expect(Buffer.from(parseMountInfo(text)[0]!.target, 'latin1')).toEqual(Buffer.from([0x2f, 0x61, 0xff]))
  })

  test('the real one has a root', () => {
    expect(readMountTable().some((entry) => entry.target === '/')).toBe(true)
    expect(readMountTable(process.pid, { exact: true }).length).toBe(readMountTable().length)
  })
})
