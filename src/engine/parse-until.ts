import { parseDuration } from '../container/duration.ts'
import { time } from '../image/image-filter.ts'

/** A point in time, or how long ago: milliseconds or text such as `24h`. @throws `call.bad_option` */
export function parseUntil(value: unknown, key: string): Date {
  return typeof value === 'string' || typeof value === 'number'
    ? new Date(Date.now() - parseDuration(value, key))
    : time(value, key)
}
