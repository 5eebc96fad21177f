import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DockerConfigCredentials, defaultDockerConfig, type RunHelper } from './docker-config.ts'

let directory: string
let file: string
let asked: string[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'docker-config-'))
  file = join(directory, 'config.json')
  asked = []
})
afterEach(() => rmSync(directory, { recursive: true }))

const helper =
  (code: number, stdout: string): RunHelper =>
  async (program, args, { input }) => {
    asked.push([program, ...args, input].join(' '))
    return { exitCode: code, stdout, stderr: '' }
  }
const noHelper = helper(1, 'not to be asked')

const find = (config: unknown, registry: string, run = noHelper, env: NodeJS.ProcessEnv = {}) => {
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config))
  return new DockerConfigCredentials(file, env, run).find(registry)
}
const auth = (text: string) => Buffer.from(text).toString('base64')
const me = { username: 'me', password: 'a:b' }

test.each([
  ['registry.example', 'registry.example', { auth: auth('me:a:b') }, me],
  ['registry.example', 'https://registry.example', { auth: auth('me:a:b') }, me],
  ['registry.example:5000', 'registry.example:5000', { username: 'me', password: 'a:b' }, me],
  ['docker.io', 'https://index.docker.io/v1/', { auth: auth('me:a:b\0\0') }, me],
  ['registry.example', 'registry.example', { auth: auth('me:x'), identitytoken: 't' }, { identityToken: 't' }],
  ['registry.example', 'registry.example', { registrytoken: 't' }, { registryToken: 't' }],
  ['registry.example', 'registry.example', {}, null],
  ['registry.example', 'other.example', { auth: auth('me:a:b') }, null],
  ['__proto__', 'other.example', { auth: auth('me:a:b') }, null],
])('%s finds what is kept under %s', async (registry, key, entry, expected) => {
  expect(await find({ auths: { [key]: entry } }, registry)).toEqual(expected)
  expect(asked).toEqual([])
})

test('helpers: one for the registry before the store, and both before what is written', async () => {
  const answer = helper(0, JSON.stringify({ ServerURL: 'x', Username: 'me', Secret: 'a:b' }))
  const auths = { 'registry.example': { auth: auth('old:old') }, 'other.example': {} }
  const config = { auths, credHelpers: { 'registry.example': 'one' }, credsStore: 'store' }
  expect(await find(config, 'registry.example', answer)).toEqual(me)
  expect(await find(config, 'other.example', answer)).toEqual(me)
  expect(await find(config, 'docker.io', answer)).toEqual(me)
  expect(asked).toEqual([
    'docker-credential-one get registry.example',
    'docker-credential-store get other.example',
    'docker-credential-store get https://index.docker.io/v1/',
  ])
  const token = helper(0, JSON.stringify({ Username: '<token>', Secret: 't' }))
  expect(await find(config, 'registry.example', token)).toEqual({ identityToken: 't' })
  asked = []
  const knowsNothing = helper(1, 'credentials not found in native keychain\n')
  expect(await find(config, 'registry.example', knowsNothing)).toEqual({ username: 'old', password: 'old' })
  expect(asked.length).toBe(2)
})

test('the environment comes first, in the same form', async () => {
  const env = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { 'registry.example': { auth: auth('me:a:b') } } }) }
  const config = { auths: { 'registry.example': { auth: auth('old:old') } } }
  expect(await find(config, 'registry.example', noHelper, env)).toEqual(me)
  expect(await find(config, 'other.example', noHelper, env)).toBeNull()
  expect(defaultDockerConfig({ DOCKER_CONFIG: '/x' })).toBe('/x/config.json')
  expect(await new DockerConfigCredentials('/nonexistent/config.json', {}, noHelper).find('a.b')).toBeNull()
  expect(await new DockerConfigCredentials(null, {}, noHelper).find('a.b')).toBeNull()
})

test.each([
  ['{"auths": {"a.b": {"auth": "secret', noHelper, 'registry.bad_credentials_file'],
  ['[]', noHelper, 'registry.bad_credentials_file'],
  [{ auths: { 'a.b': { auth: auth('secret') } } }, noHelper, 'registry.bad_credentials_file'],
  [{ auths: { 'a.b': 'secret' } }, noHelper, 'registry.bad_credentials_file'],
  [{ credsStore: '../../x' }, noHelper, 'registry.helper_failed'],
  [{ credsStore: 'x' }, helper(3, 'secret'), 'registry.helper_failed'],
  [{ credsStore: 'x' }, helper(0, '{"Secret": "secret"'), 'registry.bad_credentials_file'],
  [{ credsStore: 'x' }, helper(0, '{"Secret": "secret"}'), 'registry.helper_failed'],
  [{ credsStore: 'x' }, () => Promise.reject(new Error('ENOENT')), 'registry.helper_failed'],
] as const)('%j is refused, and no secret is said', async (config, run, code) => {
  const error = await find(config, 'a.b', run as RunHelper).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code })
  expect(JSON.stringify(error) + String(error)).not.toMatch(/secret[^/]/)
})
