import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import type { ImageSearchOptions } from './search.ts'

/** @throws `call.unknown_option`, `call.bad_option` */
export function parseSearchOptions(options: ImageSearchOptions | undefined): ImageSearchOptions {
  const bad = (key: string, wanted: string, value: unknown) =>
    callErrors.error('bad_option', {
      message: `images.search takes ${wanted} as "${key}", got ${JSON.stringify(value) ?? String(value)}.`,
      subject: { type: 'option', id: key },
    })
  const count = (value: unknown, key: string): number => {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw bad(key, 'a whole number', value)
  }
  return parseOptionObject('images.search', options, {
    registry: (value, key) => {
      if (typeof value === 'string' && value !== '') return value
      throw bad(key, 'the name of a registry', value)
    },
    limit: count,
    minStars: count,
    official: (value, key) => {
      if (typeof value === 'boolean') return value
      throw bad(key, 'true or false', value)
    },
    signal: (value) => value as AbortSignal,
  })
}
