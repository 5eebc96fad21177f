import { callErrors, parseOptionObject } from 'tscontainer/driver-kit'

/** Options of the runtime driver. */
export interface OciCliOptions {
  /** A name looked up on PATH, or an absolute path. Default: `crun`, else `runc`, whichever works. */
  readonly binary?: string
}

export function parseOptions(input: unknown): OciCliOptions {
  return parseOptionObject('runtime driver oci-cli', input, { binary: parseBinary })
}

function parseBinary(value: unknown, key: string): string {
  if (
    typeof value === 'string' &&
    value !== '' &&
    !value.includes('\0') &&
    (value.startsWith('/') || !value.includes('/'))
  )
    return value
  throw callErrors.error('bad_option', {
    message: `The option ${key} of the runtime driver oci-cli must be a program's name or absolute path, got ${JSON.stringify(value)}.`,
    subject: { type: 'options', id: key },
  })
}
