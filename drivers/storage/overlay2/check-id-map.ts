import { callErrors, type DraftId, type IdMap, type IdRange } from 'tscontainer/driver-kit'

/** Most lines of a mapping. Source: user_namespaces(7). */
const maxRanges = 340
/** The last id is -1, which means none. */
const endOfIds = 2 ** 32 - 1

/** @throws `call.bad_option` */
export function checkIdMap(draft: DraftId, { uids, gids }: IdMap): void {
  for (const [key, ranges] of Object.entries({ uids, gids })) {
    const wrong = problemOf(ranges)
    if (wrong)
      throw callErrors.error('bad_option', {
        message: `The idMap of ${draft} cannot be used: ${wrong} in ${key}. Give ranges { onDisk, shown, count } that do not overlap.`,
        subject: { type: 'draft', id: draft },
        details: { key: `idMap.${key}` },
      })
  }
}

function problemOf(ranges: readonly IdRange[]): string | null {
  if (ranges.length === 0) return 'there is no range'
  if (ranges.length > maxRanges) return `there are more than ${maxRanges} ranges`
  for (const { onDisk, shown, count } of ranges) {
    if (![onDisk, shown, count].every((n) => Number.isSafeInteger(n) && n >= 0) || count === 0)
      return 'there is a number that is no id or count'
    if (onDisk + count > endOfIds || shown + count > endOfIds) return 'there is a range that ends beyond 4294967294'
  }
  for (const side of ['onDisk', 'shown'] as const) {
    const sorted = ranges.toSorted((a, b) => a[side] - b[side])
    if (sorted.some((range, i) => i > 0 && sorted[i - 1]![side] + sorted[i - 1]!.count > range[side]))
      return `there are ranges that overlap (${side})`
  }
  return null
}
