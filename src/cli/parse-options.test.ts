import { describe, expect, test } from 'vitest'
import { parseNumber, parseOptions, refuseRest } from './parse-options.ts'
import { UsageError } from './usage-error.ts'

const options = {
  root: { type: 'string' },
  env: { type: 'string', short: 'e', multiple: true },
  detach: { type: 'boolean' },
} as const

describe('parseOptions', () => {
  test("leaves the command's own options to the command", () => {
    const { values, rest } = parseOptions(['--root', '/r', 'busybox', 'sh', '-c', 'true', '--root'], options)
    expect(values).toEqual({ root: '/r' })
    expect(rest).toEqual(['busybox', 'sh', '-c', 'true', '--root'])
  })

  test('takes values in all their spellings', () => {
    const { values, rest } = parseOptions(['-e', 'A=1', '--env=B=2', '-eC=3', '--detach', 'image'], options)
    expect(values).toEqual({ env: ['A=1', 'B=2', 'C=3'], detach: true })
    expect(rest).toEqual(['image'])
  })

  test('ends at --', () => {
    expect(parseOptions(['--detach', '--', '--root'], options).rest).toEqual(['--root'])
  })

  test.each([[['--rot', '/r']], [['--root']], [['--detach=yes', 'image']]])('refuses %j', (args) => {
    expect(() => parseOptions(args, options)).toThrow(UsageError)
  })

  test('refuses what is no number, and arguments that do not belong', () => {
    expect(parseNumber('cpus', '1.5')).toBe(1.5)
    for (const text of ['', 'two', 'NaN', 'Infinity']) expect(() => parseNumber('cpus', text)).toThrow(UsageError)
    expect(() => refuseRest(['more'])).toThrow(/more/)
  })
})
