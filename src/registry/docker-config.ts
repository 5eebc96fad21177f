import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { RegistryCredentials } from './registry-options.ts'

/** Runs a program with text on its standard input; `host.run` is one. */
export type RunHelper = (
  file: string,
  args: readonly string[],
  options: { readonly input: string; readonly accept: readonly number[] } & CallOptions,
) => Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>

/** The part of config.json that is about logins. */
export interface DockerConfig {
  readonly auths?: Readonly<Record<string, unknown>>
  readonly credHelpers?: Readonly<Record<string, unknown>>
  readonly credsStore?: unknown
}

// Told without what it printed, which may hold a secret.
const anyExit = Array.from({ length: 256 }, (_, code) => code)

/** What `docker login` calls Docker Hub. */
const hubKey = 'https://index.docker.io/v1/'

export const defaultDockerConfig = (env: NodeJS.ProcessEnv): string =>
  join(env['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'config.json')

/**
 * Credentials as Docker's command line keeps them: in the variable DOCKER_AUTH_CONFIG (the same JSON), by a credential
 * helper for the registry, by the credential store, or in the file itself. Read at every question: a login counts at
 * once.
 */
export class DockerConfigCredentials {
  readonly #file: string | null
  readonly #env: NodeJS.ProcessEnv
  readonly #run: RunHelper

  /** What logins are stored in; null: nowhere. */
  get file(): string | null {
    return this.#file
  }

  get run(): RunHelper {
    return this.#run
  }

  constructor(file: string | null, env: NodeJS.ProcessEnv, run: RunHelper) {
    this.#file = file
    this.#env = env
    this.#run = run
  }

  async find(registry: string, call?: CallOptions): Promise<RegistryCredentials | null> {
    const text = this.#env['DOCKER_AUTH_CONFIG']
    const fromEnvironment = text
      ? inAuths(parseConfig(text, 'DOCKER_AUTH_CONFIG'), registry, 'DOCKER_AUTH_CONFIG')
      : null
    if (fromEnvironment || this.#file === null) return fromEnvironment
    const config = readConfig(this.#file)
    if (!config) return null
    const keys = keysOf(registry)
    const helper = helperOf(config, registry)
    if (helper !== null) {
      const found = await this.#ask(helper, registry, keys, call)
      if (found) return found
    }
    return inAuths(config, registry, this.#file)
  }

  async #ask(
    helper: string,
    registry: string,
    keys: readonly string[],
    call: CallOptions | undefined,
  ): Promise<RegistryCredentials | null> {
    for (const key of keys.slice(0, 2)) {
      const stdout = await askHelper(this.#run, { helper, command: 'get', input: key, registry }, call)
      if (stdout === null) continue
      const said = parseConfig(stdout, `docker-credential-${helper}`) as Record<string, unknown>
      const { Username: username, Secret: secret } = said
      if (typeof username !== 'string' || typeof secret !== 'string')
        throw helperFailed(helper, registry, 'answered without Username and Secret')
      if (secret === '') continue
      return username === '<token>' ? { identityToken: secret } : { username, password: secret }
    }
    return null
  }
}

/** The program that keeps the credentials of a registry; null: the file does. */
export function helperOf({ credHelpers, credsStore }: DockerConfig, registry: string): string | null {
  const helper =
    keysOf(registry)
      .map((key) => credHelpers?.[key])
      .find((name) => name !== undefined) ?? credsStore
  return typeof helper === 'string' && helper !== '' ? helper : null
}

/** What a helper printed; null: it has no such credentials. Source: docker-credential-helpers. */
export async function askHelper(
  run: RunHelper,
  question: {
    readonly helper: string
    readonly command: 'get' | 'store' | 'erase'
    readonly input: string
    readonly registry: string
  },
  call?: CallOptions,
): Promise<string | null> {
  const { helper, command, input, registry } = question
  if (!/^[A-Za-z0-9._-]+$/.test(helper)) throw helperFailed(helper, registry, 'has no name of a program')
  let answer: Awaited<ReturnType<RunHelper>>
  try {
    answer = await run(`docker-credential-${helper}`, [command], { ...call, input, accept: anyExit })
  } catch (error) {
    throw helperFailed(helper, registry, 'could not be run', error)
  }
  if (answer.exitCode === 0) return answer.stdout
  if (/credentials not found/i.test(answer.stdout + answer.stderr)) return null
  // What it printed may hold a secret.
  throw helperFailed(helper, registry, `ended with ${answer.exitCode}`)
}

const helperFailed = (helper: string, registry: string, problem: string, cause?: unknown) =>
  registryErrors.error('helper_failed', {
    message: `The credential helper docker-credential-${helper} ${problem}.`,
    subject: { type: 'registry', id: registry },
    details: { registry, helper },
    cause,
  })

/** Null when there is no file. @throws `registry.bad_credentials_file` */
export function readConfig(file: string): DockerConfig | null {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw registryErrors.error('bad_credentials_file', { message: `${file} cannot be read (${code}).`, cause: error })
  }
  return parseConfig(text, file)
}

/** @throws `registry.bad_credentials_file`, without the text, which holds secrets */
export function parseConfig(text: string, where: string): DockerConfig {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the text, secrets and all.
    throw registryErrors.error('bad_credentials_file', { message: `${where} is not JSON.`, details: { where } })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw registryErrors.error('bad_credentials_file', { message: `${where} holds no object.`, details: { where } })
}

/** The names under which a registry may be kept, the usual one first. */
export function keysOf(registry: string): readonly string[] {
  if (registry === 'docker.io') return [hubKey, 'docker.io', 'index.docker.io', 'https://index.docker.io']
  return [registry, `https://${registry}`, `http://${registry}`, `https://${registry}/v1/`, `https://${registry}/v2/`]
}

function inAuths(config: DockerConfig, registry: string, where: string): RegistryCredentials | null {
  const key = keysOf(registry).find((name) => config.auths && Object.hasOwn(config.auths, name))
  if (key === undefined) return null
  const malformed = () =>
    registryErrors.error('bad_credentials_file', {
      message: `The entry "${key}" of ${where} is malformed. Log in again.`,
      subject: { type: 'registry', id: registry },
      details: { where, key },
    })
  const entry = config.auths?.[key]
  if (typeof entry !== 'object' || entry === null) throw malformed()
  const { auth, username, password, identitytoken, registrytoken } = entry as Record<string, unknown>
  if (typeof identitytoken === 'string' && identitytoken !== '') return { identityToken: identitytoken }
  if (typeof registrytoken === 'string' && registrytoken !== '') return { registryToken: registrytoken }
  if (typeof username === 'string' && typeof password === 'string' && username !== '') return { username, password }
  // Written by a login whose secret is in the store.
  if (auth === undefined || auth === '') return null
  const decoded = typeof auth === 'string' ? Buffer.from(auth, 'base64').toString() : ''
  const colon = decoded.indexOf(':')
  if (colon < 1) throw malformed()
  // Some tools pad the text with NUL.
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') }
}
