import { expect, test } from 'vitest'
import { expandShortName, shortNameProblem } from './short-names.ts'

const names = { debian: 'registry.example/mirror/debian', 'team/app': 'registry.example:5000/app' }

test.each([
  ['debian', 'registry.example/mirror/debian'],
  ['debian:12', 'registry.example/mirror/debian:12'],
  [`debian@sha256:${'0'.repeat(64)}`, `registry.example/mirror/debian@sha256:${'0'.repeat(64)}`],
  ['team/app:1', 'registry.example:5000/app:1'],
  ['docker.io/library/debian', null],
  ['debian/other', null],
  ['other/debian', null],
  ['toString', null],
  ['', null],
])('%s is %s', (text, full) => expect(expandShortName(text, names)).toBe(full))

test.each([
  ['debian', 'registry.example/mirror/debian', true],
  ['debian', 'localhost/debian', true],
  ['debian', 'docker.io/library/debian', true],
  ['debian:12', 'registry.example/debian', false],
  ['quay.example/debian', 'registry.example/debian', false],
  ['docker.io/debian', 'registry.example/debian', false],
  ['debian', 'registry.example/debian:12', false],
  ['debian', 'other', false],
  ['debian', 'team/other', false],
  ['Debian', 'registry.example/debian', false],
])('%s for %s may be: %s', (short, full, fine) => expect(shortNameProblem(short, full) === null).toBe(fine))
