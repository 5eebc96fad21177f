import { containerErrors } from '../errors/container-errors.ts'

/** Milliseconds as a number, or text such as `500ms`, `1.5s`, `1m30s`, `2h`. */
export type Duration = number | string

const unit: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a duration; `field` is what the error names. */
export function parseDuration(value: Duration, field: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  if (typeof value === 'string') {
    const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
    if (parts.length > 0 && parts.map((part) => part[0]).join('') === value)
      return parts.reduce((sum, [, amount, name]) => sum + Number(amount) * unit[name!]!, 0)
  }
  throw containerErrors.error('bad_spec', {
    message: `${field} is ${JSON.stringify(value)}; give milliseconds or text such as '10s', '1m30s'.`,
    details: { field },
  })
}
