import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listLogins } from './list-logins.ts'

let directory: string
let file: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'list-logins-'))
  file = join(directory, 'config.json')
})
afterEach(() => rmSync(directory, { recursive: true }))

const auth = (text: string) => Buffer.from(text).toString('base64')

test('users by registry, without secrets', () => {
  writeFileSync(
    file,
    JSON.stringify({
      auths: {
        'https://index.docker.io/v1/': { auth: auth('me:secret') },
        'https://plain.example:5000/v2/': { username: 'you', password: 'secret' },
        'token.example': { auth: auth('x:secret'), identitytoken: 'secret' },
        'given.example': { auth: auth('older:secret') },
        'held.example': { auth: auth('older:secret') },
        'malformed.example': { auth: 'secret' },
        'wrong.example': 'secret',
      },
      credHelpers: { 'held.example': 'one', 'other.example': 'two' },
    }),
  )
  const hosts = { 'given.example': { credentials: { username: 'given', password: 'secret' } }, 'none.example': {} }
  const env = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { 'env.example': { auth: auth('env:secret') } } }) }
  const logins = listLogins({ hosts }, file, env)
  expect(JSON.stringify(logins)).not.toContain('secret')
  expect(logins.map(({ registry, user, helper }) => [registry, user, helper])).toEqual([
    ['docker.io', 'me', null],
    ['env.example', 'env', null],
    ['given.example', 'given', null],
    ['held.example', null, 'one'],
    ['malformed.example', null, null],
    ['other.example', null, 'two'],
    ['plain.example:5000', 'you', null],
    ['token.example', null, null],
    ['wrong.example', null, null],
  ])
})

test('a store of all credentials; no file; a file that is none', () => {
  writeFileSync(file, JSON.stringify({ auths: { 'a.example': {} }, credsStore: 'store' }))
  expect(listLogins({}, file, {})).toEqual([{ registry: 'a.example', user: null, helper: 'store' }])
  expect(listLogins({}, join(directory, 'none.json'), {})).toEqual([])
  expect(listLogins({}, null, {})).toEqual([])
  writeFileSync(file, '{"secret')
  expect(() => listLogins({}, file, {})).toThrow(expect.objectContaining({ code: 'registry.bad_credentials_file' }))
})
