import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { isEngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { editUserFile } from '../host/edit-user-file.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type DockerConfig, readConfig } from './docker-config.ts'

type Auths = NonNullable<DockerConfig['auths']>

/**
 * Changes the logins in config.json, which nobody but its owner can read then; all else in it stays.
 *
 * @throws `registry.credentials_not_stored`, `registry.bad_credentials_file`, `call.aborted`
 */
export async function editConfig(file: string, change: (auths: Auths) => Auths, call?: CallOptions): Promise<void> {
  const make = () => {
    const config = readConfig(file) ?? {}
    return `${JSON.stringify({ ...config, auths: change(config.auths ?? {}) }, null, '\t')}\n`
  }
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    await editUserFile(file, make, { access: 'private', ...call })
  } catch (error) {
    if (isEngineError(error) || !(error as NodeJS.ErrnoException).code) throw error
    throw registryErrors.error('credentials_not_stored', {
      message: `${file} could not be written (${(error as NodeJS.ErrnoException).code}). ${registryErrors.codes.credentials_not_stored.help}`,
      details: { file },
      cause: error,
    })
  }
}
