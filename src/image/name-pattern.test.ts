import { describe, expect, test } from 'vitest'
import { normalizeName } from '../reference/reference.ts'
import { namePattern } from './name-pattern.ts'

describe('patterns of names', () => {
  // What path.Match of Go and FamiliarMatch of distribution/reference say.
  test.each([
    ['busybox', 'busybox:1.36', true],
    ['busybox:1.36', 'busybox:1.36', true],
    ['busybox:latest', 'busybox', true],
    ['busybox', 'busybox2', false],
    ['busy*', 'busybox:1', true],
    ['*', 'busybox:1', true],
    ['*', 'user/app', false],
    ['*/*', 'user/app:2', true],
    ['user/*', 'user/app', true],
    ['*:1.*', 'busybox:1.36', true],
    ['*:1.*', 'busybox:2.1', false],
    ['b?sybox', 'busybox', true],
    ['b??sybox', 'busybox', false],
    ['user?app', 'user/app', false],
    ['[a-c]usybox', 'busybox', true],
    ['[^a-c]usybox', 'busybox', false],
    ['[b]usy[a-b]ox', 'busybox', true],
    ['busybo[\\x]', 'busybox', true],
    ['busy\\box', 'busybox', true],
    ['example.com/*/app', 'example.com/team/app:1', true],
    ['example.com/*/app', 'example.com/a/b/app', false],
    ['example.com*', 'example.com/app', false],
    ['localhost:5000/app', 'localhost:5000/app:x', true],
    ['docker.io/library/busybox', 'busybox', false],
    ['', 'busybox', null],
    ['[', 'busybox', null],
    ['[]', 'busybox', null],
    ['[a', 'busybox', null],
    ['[a-]', 'busybox', null],
    ['[-a]', 'busybox', null],
    ['a\\', 'busybox', null],
    ['x'.repeat(3000), 'busybox', null],
  ])('%s of %s: %s', (pattern, name, expected) => {
    const ask = () => namePattern(pattern)(normalizeName(name))
    if (expected === null)
      expect(ask).toThrow(expect.objectContaining({ code: 'image.bad_pattern', kind: 'invalid_argument' }))
    else expect(ask()).toBe(expected)
  })

  test('a hostile pattern costs no time', () => {
    const fits = namePattern(`${'*a'.repeat(1000)}b`)
    const started = performance.now()
    expect(fits(`docker.io/library/${'a'.repeat(240)}:latest`)).toBe(false)
    expect(performance.now() - started).toBeLessThan(500)
  })
})
