import { type ArchiveLimits, defaultArchiveLimits } from '../archive/archive-limits.ts'
import type { ArchiveFormat } from '../archive/image-archive.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'

const formats: readonly ArchiveFormat[] = ['docker-archive', 'oci-archive', 'oci-layout']

/** @throws `call.unknown_option`, `call.bad_option` */
export const checkLoadOptions = (options: unknown) =>
  parseOptionObject('images.load', options, { platform: text, repository: text, limits, signal })

/** @throws `call.unknown_option`, `call.bad_option` */
export const checkSaveOptions = (options: unknown) => parseOptionObject('images.save', options, { format, signal })

function limits(value: unknown): Partial<ArchiveLimits> {
  const parsers = Object.fromEntries(Object.keys(defaultArchiveLimits).map((name) => [name, count]))
  return parseOptionObject('limits of images.load', value, parsers) as Partial<ArchiveLimits>
}

function format(value: unknown): ArchiveFormat {
  const known = formats.find((name) => name === value)
  if (known) return known
  throw bad('format', value, `one of ${formats.join(', ')}`)
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
