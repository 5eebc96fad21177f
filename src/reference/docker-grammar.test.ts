import { describe, expect, test } from 'vitest'
import { familiarName, parseReference } from './reference.ts'

// The cases of the tests of distribution/reference (reference_test.go, normalize_test.go), as Docker reads them.

const hex = 'f'.repeat(64)
const sha256 = `sha256:${hex}`
const sha512 = `sha512:${hex}${hex}`
const hub = 'docker.io'

describe('names as Docker reads them', () => {
  test.each([
    ['test_com', hub, 'library/test_com', null, null],
    ['test.com:tag', hub, 'library/test.com', 'tag', null],
    ['test.com:5000', hub, 'library/test.com', '5000', null],
    ['test.com/repo:tag', 'test.com', 'repo', 'tag', null],
    ['test:5000/repo', 'test:5000', 'repo', null, null],
    ['test:5000/repo:tag', 'test:5000', 'repo', 'tag', null],
    [`test:5000/repo@${sha256}`, 'test:5000', 'repo', null, sha256],
    [`test:5000/repo:tag@${sha256}`, 'test:5000', 'repo', 'tag', sha256],
    ['lowercase:Uppercase', hub, 'library/lowercase', 'Uppercase', null],
    [`${'a/'.repeat(127)}a:tag-puts-this-over-max`, hub, `${'a/'.repeat(127)}a`, 'tag-puts-this-over-max', null],
    ['sub-dom1.foo.com/bar/baz/quux', 'sub-dom1.foo.com', 'bar/baz/quux', null, null],
    ['sub-dom1.foo.com/bar/baz/quux:some-long-tag', 'sub-dom1.foo.com', 'bar/baz/quux', 'some-long-tag', null],
    [
      'b.gcr.io/test.example.com/my-app:test.example.com',
      'b.gcr.io',
      'test.example.com/my-app',
      'test.example.com',
      null,
    ],
    ['xn--n3h.com/myimage:xn--n3h.com', 'xn--n3h.com', 'myimage', 'xn--n3h.com', null],
    [`xn--7o8h.com/myimage:xn--7o8h.com@${sha512}`, 'xn--7o8h.com', 'myimage', 'xn--7o8h.com', sha512],
    ['foo_bar.com:8080', hub, 'library/foo_bar.com', '8080', null],
    ['foo/foo_bar.com:8080', hub, 'foo/foo_bar.com', '8080', null],
    ['192.168.1.1', hub, 'library/192.168.1.1', null, null],
    ['192.168.1.1:5000', hub, 'library/192.168.1.1', '5000', null],
    ['192.168.1.1:5000/repo:5050', '192.168.1.1:5000', 'repo', '5050', null],
    ['[2001:db8::1]/repo', '[2001:db8::1]', 'repo', null, null],
    ['[2001:db8:1:2:3:4:5:6]/repo:tag', '[2001:db8:1:2:3:4:5:6]', 'repo', 'tag', null],
    [`[::1]:5000/repo:tag@${sha256}`, '[::1]:5000', 'repo', 'tag', sha256],
    ['docker.io/library/foo', hub, 'library/foo', null, null],
    ['index.docker.io/foo', hub, 'library/foo', null, null],
    ['docker.io', hub, 'library/docker.io', null, null],
    ['localhost', hub, 'library/localhost', null, null],
    ['localhost:5000', hub, 'library/localhost', '5000', null],
    ['localhost/foo', 'localhost', 'foo', null, null],
    ['LOCALHOST/foo', 'LOCALHOST', 'foo', null, null],
    ['Uppercase/lowercase', 'Uppercase', 'lowercase', null, null],
    ['docker/docker', hub, 'docker/docker', null, null],
    ['d/e/f/g/h/i/j', hub, 'd/e/f/g/h/i/j', null, null],
    ['a__a', hub, 'library/a__a', null, null],
    ['asdf-2/a---b', hub, 'asdf-2/a---b', null, null],
    ['foo.foo/bar-baz/bar', 'foo.foo', 'bar-baz/bar', null, null],
    ['foo:_x', hub, 'library/foo', '_x', null],
    // Only alone are 64 digits an id.
    [`${'a'.repeat(64)}:tag`, hub, `library/${'a'.repeat(64)}`, 'tag', null],
    ['a'.repeat(63), hub, `library/${'a'.repeat(63)}`, null, null],
    ['a'.repeat(65), hub, `library/${'a'.repeat(65)}`, null, null],
  ])('%s', (text, domain, path, tag, digest) => {
    const reference = parseReference(text)
    expect(reference).toEqual({ domain, path, tag, digest })
    expect(parseReference(familiarName(reference))).toEqual(reference)
  })

  test.each([
    ['', 'bad_name'],
    [':justtag', 'bad_name'],
    [`@${sha256}`, 'bad_name'],
    ['repo@sha256:ffffffffffffffffffffffffffffffffff', 'bad_digest'],
    [`validname@invaliddigest:${hex}`, 'bad_digest'],
    [`a@${sha256}:tag`, 'bad_digest'],
    ['a@', 'bad_digest'],
    ['Uppercase:tag', 'bad_name'],
    ['test:5000/Uppercase/lowercase:tag', 'bad_name'],
    [`${'a/'.repeat(128)}a:tag`, 'bad_name'],
    ['aa/asdf$$^/aa', 'bad_name'],
    ['[2001:db8::1]', 'bad_tag'],
    ['[2001:db8::1]:5000', 'bad_name'],
    ['[fe80::1%eth0]:5000/repo', 'bad_name'],
    ['[fe80::1%@invalidzone]:5000/repo', 'bad_digest'],
    [hex, 'bad_name'],
    ['docker.io/', 'bad_name'],
    ['docker.io/Foo', 'bad_name'],
    ['https://example.com/app', 'bad_name'],
    ['.a/b', 'bad_name'],
    ['a./b', 'bad_name'],
    ['-foo/bar', 'bad_name'],
    ['foo-/bar', 'bad_name'],
    ['foo_/bar', 'bad_name'],
    ['foo._bar', 'bad_name'],
    ['a___a/b', 'bad_name'],
    ['foo/../bar', 'bad_name'],
    ['foo bar', 'bad_name'],
    ['foo\0', 'bad_name'],
    ['ｆｏｏ', 'bad_name'],
    ['foo:', 'bad_tag'],
    ['foo:.bar', 'bad_tag'],
    ['foo:a+b', 'bad_tag'],
    ['foo:ä', 'bad_tag'],
    ['foo:80:x', 'bad_name'],
  ])('refuses %j', (text, code) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: `reference.${code}` }))
  })

  test('says what is wrong with capital letters', () => {
    expect(() => parseReference('MyApp:1')).toThrow('repository names are in lower case')
    expect(() => parseReference('example.com/Team/App')).toThrow('repository names are in lower case')
  })
})
