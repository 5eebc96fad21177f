import { describe, expect, test } from 'vitest'
import { parseImageSelector } from './image-selector.ts'
import { canonicalName, familiarName, isTag, normalizeName, parseReference, withDefaultTag } from './reference.ts'

const sha = `sha256:${'a'.repeat(64)}`

describe('names', () => {
  test.each([
    ['busybox', 'docker.io', 'library/busybox', null, null, 'busybox'],
    ['busybox:1.36', 'docker.io', 'library/busybox', '1.36', null, 'busybox:1.36'],
    [`busybox@${sha}`, 'docker.io', 'library/busybox', null, sha, `busybox@${sha}`],
    [`busybox:1@${sha}`, 'docker.io', 'library/busybox', '1', sha, `busybox:1@${sha}`],
    ['user/app', 'docker.io', 'user/app', null, null, 'user/app'],
    ['docker.io/busybox', 'docker.io', 'library/busybox', null, null, 'busybox'],
    ['index.docker.io/library/busybox', 'docker.io', 'library/busybox', null, null, 'busybox'],
    ['docker.io/library/a/b', 'docker.io', 'library/a/b', null, null, 'library/a/b'],
    ['localhost/app', 'localhost', 'app', null, null, 'localhost/app'],
    ['localhost:5000/app:x', 'localhost:5000', 'app', 'x', null, 'localhost:5000/app:x'],
    ['example.com/a/b/c', 'example.com', 'a/b/c', null, null, 'example.com/a/b/c'],
    ['EXAMPLE/app', 'EXAMPLE', 'app', null, null, 'EXAMPLE/app'],
    ['[2001:db8::1]:5000/app', '[2001:db8::1]:5000', 'app', null, null, '[2001:db8::1]:5000/app'],
    ['a.b:5000', 'docker.io', 'library/a.b', '5000', null, 'a.b:5000'],
    ['a__b/c--d.e_f', 'docker.io', 'a__b/c--d.e_f', null, null, 'a__b/c--d.e_f'],
  ])('%s', (text, domain, path, tag, digest, familiar) => {
    const reference = parseReference(text)
    expect(reference).toEqual({ domain, path, tag, digest })
    expect(familiarName(reference)).toBe(familiar)
    expect(parseReference(canonicalName(reference))).toEqual(reference)
    expect(parseReference(familiarName(reference))).toEqual(reference)
  })

  test.each([
    ['', 'reference.bad_name'],
    [':tag', 'reference.bad_name'],
    ['Busybox', 'reference.bad_name'],
    ['a/Upper', 'reference.bad_name'],
    ['a//b', 'reference.bad_name'],
    ['/a', 'reference.bad_name'],
    ['a/', 'reference.bad_name'],
    ['a___b', 'reference.bad_name'],
    ['-a', 'reference.bad_name'],
    ['a-', 'reference.bad_name'],
    ['a..b', 'reference.bad_name'],
    ['exa mple.com/a', 'reference.bad_name'],
    ['-example.com/a', 'reference.bad_name'],
    ['example.com:port/a', 'reference.bad_name'],
    ['../etc/passwd', 'reference.bad_name'],
    ['a\n', 'reference.bad_name'],
    ['f'.repeat(64), 'reference.bad_name'],
    ['a'.repeat(256), 'reference.bad_name'],
    ['x'.repeat(5000), 'reference.bad_name'],
    ['a:', 'reference.bad_tag'],
    ['a:-x', 'reference.bad_tag'],
    [`a:${'x'.repeat(129)}`, 'reference.bad_tag'],
    ['a:b\n', 'reference.bad_tag'],
    ['a@sha256:short', 'reference.bad_digest'],
    [`a@${sha.toUpperCase()}`, 'reference.bad_digest'],
    [`a@${sha}@${sha}`, 'reference.bad_digest'],
    ['a@md5:d41d8cd98f00b204e9800998ecf8427e', 'reference.bad_digest'],
  ])('refuses %j', (text, code) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code, kind: 'invalid_argument' }))
  })

  test('defaults', () => {
    expect(normalizeName('busybox')).toBe('docker.io/library/busybox:latest')
    expect(withDefaultTag(parseReference(`a@${sha}`)).tag).toBe(null)
    expect(isTag('v1.0-rc_1')).toBe(true)
    expect(isTag('v1/0')).toBe(false)
  })

  test('a hostile name costs no time', () => {
    const started = performance.now()
    for (const text of [
      `${'a-'.repeat(900)}!`,
      `${'a_'.repeat(900)}!`,
      `${'a.'.repeat(900)}/b`,
      `${'0'.repeat(1800)}:`,
    ])
      expect(() => parseReference(text)).toThrow()
    expect(performance.now() - started).toBeLessThan(500)
  })
})

describe('selectors', () => {
  test.each([
    [sha, sha, null, false],
    ['a'.repeat(64), sha, null, false],
    ['abc', null, 'abc', true],
    ['sha256:abc', null, 'abc', true],
    ['busybox', null, null, true],
    ['0'.repeat(63), null, '0'.repeat(63), true],
  ])('%s', (text, id, idPrefix, named) => {
    const selector = parseImageSelector(text)
    expect({ ...selector, reference: selector.reference !== null }).toEqual({ text, id, idPrefix, reference: named })
  })

  test('neither', () => {
    expect(() => parseImageSelector('No Way')).toThrow(expect.objectContaining({ code: 'reference.bad_name' }))
  })
})
