import { expect, test } from 'vitest'
import { parseChallenges } from './challenge.ts'

test.each([
  ['', []],
  ['Basic realm="Registry Realm"', [{ scheme: 'basic', parameters: { realm: 'Registry Realm' } }]],
  [
    'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
    [
      {
        scheme: 'bearer',
        parameters: {
          realm: 'https://auth.example/token',
          service: 'registry.example',
          scope: 'repository:a/b:pull,push',
        },
      },
    ],
  ],
  [
    'Bearer realm="x", error=invalid_token, Basic realm="y"',
    [
      { scheme: 'bearer', parameters: { realm: 'x', error: 'invalid_token' } },
      { scheme: 'basic', parameters: { realm: 'y' } },
    ],
  ],
  [
    'Negotiate, BASIC Realm="a\\"b"',
    [
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'basic', parameters: { realm: 'a"b' } },
    ],
  ],
  ['Bearer realm="never closed', [{ scheme: 'bearer', parameters: {} }]],
  ['"', []],
])('%s', (header, expected) => {
  expect(parseChallenges(header)).toEqual(expected)
})

test('a hostile header costs no time', () => {
  for (const header of ['a='.repeat(1e6), `Bearer realm="${'\\'.repeat(1e6)}`, 'Basic '.repeat(1e6), ','.repeat(1e6)])
    expect(parseChallenges(header).length).toBeLessThan(3000)
})
