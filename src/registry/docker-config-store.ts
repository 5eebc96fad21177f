import type { CallOptions } from '../lifetime/call-options.ts'
import { askHelper, helperOf, keysOf, type RunHelper, readConfig } from './docker-config.ts'
import { editConfig } from './edit-config.ts'
import type { RegistryCredentials } from './registry-options.ts'

/** Where a login was put. */
export type LoginStore =
  | { readonly file: string; readonly helper: null }
  /** `docker-credential-<helper>`; the file only says that there is a login. */
  | { readonly file: string; readonly helper: string }

/**
 * Puts credentials where Docker's command line looks for them: into the credential helper that config.json names for the
 * registry, else into the file itself, as it does. Everything else in the file stays.
 *
 * @throws `registry.helper_failed`, `registry.bad_credentials_file`, `registry.credentials_not_stored`
 */
export async function storeCredentials(
  file: string,
  run: RunHelper,
  registry: string,
  credentials: RegistryCredentials,
  call?: CallOptions,
): Promise<LoginStore> {
  const helper = helperOf(readConfig(file) ?? {}, registry)
  const [key = registry] = keysOf(registry)
  if (helper !== null) {
    const secret =
      'username' in credentials
        ? { Username: credentials.username, Secret: credentials.password }
        : { Username: '<token>', Secret: tokenOf(credentials) }
    const input = JSON.stringify({ ServerURL: key, ...secret })
    await askHelper(run, { helper, command: 'store', input, registry }, call)
    await editConfig(file, (auths) => ({ ...auths, [key]: {} }), call)
    return { file, helper }
  }
  await editConfig(file, (auths) => ({ ...auths, [key]: asEntry(credentials) }), call)
  return { file, helper: null }
}

/** Takes a login away; false when there was none. @throws as `storeCredentials` */
export async function eraseCredentials(
  file: string,
  run: RunHelper,
  registry: string,
  call?: CallOptions,
): Promise<boolean> {
  const config = readConfig(file)
  if (!config) return false
  const keys = keysOf(registry)
  const helper = helperOf(config, registry)
  let erased = false
  if (helper !== null)
    for (const key of keys.slice(0, 2))
      erased = (await askHelper(run, { helper, command: 'erase', input: key, registry }, call)) !== null || erased
  const held = keys.filter((key) => config.auths && Object.hasOwn(config.auths, key))
  if (held.length > 0)
    await editConfig(
      file,
      (auths) => Object.fromEntries(Object.entries(auths).filter(([key]) => !keys.includes(key))),
      call,
    )
  return held.length > 0 || erased
}

function asEntry(credentials: RegistryCredentials): object {
  if ('username' in credentials)
    return { auth: Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64') }
  return 'identityToken' in credentials
    ? { identitytoken: credentials.identityToken }
    : { registrytoken: credentials.registryToken }
}

const tokenOf = (credentials: Exclude<RegistryCredentials, { readonly username: string }>): string =>
  'identityToken' in credentials ? credentials.identityToken : credentials.registryToken
