import { callErrors, type DriverDefinition, type MissingRequirement, parseOptionObject } from 'tscontainer/driver-kit'
import { CopyDriver } from './copy-driver.ts'

export interface CopyOptions {
  /** `auto` shares blocks where the file system can (XFS, btrfs), `never` copies every byte. Default `auto`. */
  readonly reflink: 'auto' | 'never'
}

function parseReflink(value: unknown, key: string): CopyOptions['reflink'] {
  if (value === 'auto' || value === 'never') return value
  throw callErrors.error('bad_option', {
    message: `${key} of the storage driver copy must be "auto" or "never", got ${JSON.stringify(value)}.`,
    details: { key, allowed: ['auto', 'never'] },
  })
}

/** Copies whole trees: slow for large images, but it works on every file system and has nothing to go wrong. */
export const copy: DriverDefinition<'storage', CopyOptions> = {
  type: 'storage',
  name: 'copy',
  kit: '^1.0.0',

  parseOptions(input) {
    const { reflink = 'auto' } = parseOptionObject('the storage driver copy', input, { reflink: parseReflink })
    return { reflink }
  },

  async probe(context, _options, call) {
    const missing: MissingRequirement[] = []
    for (const program of ['cp', 'sync']) {
      try {
        await context.host.run(program, ['--version'], call)
      } catch {
        missing.push({ what: `program ${program}`, hint: 'apt-get install coreutils' })
      }
    }
    return missing.length > 0 ? { usable: false, missing } : { usable: true, facts: {} }
  },

  open: CopyDriver.open,
}
