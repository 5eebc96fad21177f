import { type ArchiveLimits, defaultArchiveLimits } from '../archive/archive-limits.ts'
import type { ArchiveFormat } from '../archive/image-archive.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { refuseSignatures } from '../image/refuse-signatures.ts'
import { parseLifetime, parseSentCompression } from './commit-options.ts'

/** When a registry is asked. */
export type PullPolicy = 'always' | 'missing' | 'never'

export const pullPolicies: readonly PullPolicy[] = ['always', 'missing', 'never']

const formats: readonly ArchiveFormat[] = ['docker-archive', 'oci-archive', 'oci-layout']

/** @throws `call.unknown_option`, `call.bad_option` */
export const checkLoadOptions = (options: unknown) =>
  parseOptionObject('images.load', options, {
    platform: text,
    repository: text,
    limits,
    lifetime: parseLifetime,
    signal,
  })

/** @throws `call.unknown_option`, `call.bad_option`, `transfer.unsupported_compression` */
export const checkSaveOptions = (options: unknown) =>
  parseOptionObject('images.save', options, { format: oneOf(formats), compression: parseSentCompression, signal })

/** @throws `call.unknown_option`, `call.bad_option` */
export const checkPullOptions = (options: unknown) =>
  parseOptionObject('images.pull', options, {
    platform: text,
    policy: oneOf(pullPolicies),
    lifetime: parseLifetime,
    signaturePolicy: refuseSignatures,
    signal,
  })

/** @throws `call.unknown_option`, `call.bad_option` */
export const checkRunOptions = (options: unknown) =>
  parseOptionObject('containers.run', options, { platform: text, pull: oneOf(pullPolicies), signal })

function limits(value: unknown): Partial<ArchiveLimits> {
  const parsers = Object.fromEntries(Object.keys(defaultArchiveLimits).map((name) => [name, count]))
  return parseOptionObject('limits of images.load', value, parsers) as Partial<ArchiveLimits>
}

function oneOf<T extends string>(known: readonly T[]) {
  return (value: unknown, key: string): T => {
    const found = known.find((name) => name === value)
    if (found) return found
    throw bad(key, value, `one of ${known.join(', ')}`)
  }
}

function count(value: unknown, key: string): number {
  if (typeof value === 'number' && value >= 0) return value
  throw bad(key, value, 'a number that is not negative')
}

function text(value: unknown, key: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw bad(key, value, 'a text that is not empty')
}

function signal(value: unknown): AbortSignal {
  if (value instanceof AbortSignal) return value
  throw bad('signal', value, 'an AbortSignal')
}

const bad = (key: string, value: unknown, wanted: string) =>
  callErrors.error('bad_option', {
    message: `The option "${key}" must be ${wanted}, not ${JSON.stringify(value) ?? typeof value}.`,
    subject: { type: 'option', id: key },
    details: { key },
  })
