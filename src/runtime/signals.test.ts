import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import { parseSignal, signalName } from './signals.ts'

describe('signals', () => {
  test.each([
    ['SIGTERM', 15],
    ['TERM', 15],
    ['term', 15],
    ['sigkill', 9],
    ['15', 15],
    [15, 15],
    ['SIGRTMIN', 34],
    ['RTMIN+3', 37],
    ['SIGRTMIN+30', 64],
    ['SIGRTMAX', 64],
    ['rtmax-14', 50],
    ['SIGRTMAX-30', 34],
    ['64', 64],
    ['SIGPOLL', 29],
  ])('%s is %i', (text, number) => {
    expect(parseSignal(text)).toBe(number)
  })

  test.each([
    '',
    'SIG',
    'NOPE',
    '0',
    0,
    65,
    '65',
    -1,
    1.5,
    'SIGRTMIN+31',
    'RTMAX-31',
    'RTMIN-1',
    'RTMAX+1',
    '1e1',
    ' 9',
    'toString',
    Number.NaN,
  ])('%s is none', (text) => {
    expect(() => parseSignal(text)).toThrow(expect.objectContaining({ code: 'runtime.bad_signal' }))
  })

  test('names agree with the machine', () => {
    for (const [name, number] of Object.entries(constants.signals))
      if (name !== 'SIGUNUSED') expect(parseSignal(name), name).toBe(number)
    expect(signalName(15)).toBe('SIGTERM')
    expect(signalName(37)).toBe('SIGRTMIN+3')
    expect(signalName(64)).toBe('SIGRTMAX')
    expect([0, 32, 33, 65].map(signalName)).toEqual([null, null, null, null])
    for (let number = 1; number <= 64; number++) {
      const name = signalName(number)
      if (name !== null) expect(parseSignal(name)).toBe(number)
    }
  })
})
