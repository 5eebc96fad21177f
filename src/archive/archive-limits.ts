import { archiveErrors } from '../errors/archive-errors.ts'

/** What an archive may cost before it is refused. Sizes in bytes. */
export interface ArchiveLimits {
  /** Files, directories and links in the archive. Default 100,000. */
  readonly entries: number
  /** Length of a path in the archive. Default 4096. */
  readonly pathLength: number
  /** Manifests, indexes and configurations. Default 16 MiB. */
  readonly jsonBytes: number
  /** All files of an archive that comes as a stream or is compressed as a whole. Default 1 TiB. */
  readonly totalBytes: number
  /** Images in one archive. Default 1000. */
  readonly images: number
  /** Indexes inside indexes. Default 4. */
  readonly indexDepth: number
}

export const defaultArchiveLimits: ArchiveLimits = {
  entries: 100_000,
  pathLength: 4096,
  jsonBytes: 16 << 20,
  totalBytes: 2 ** 40,
  images: 1000,
  indexDepth: 4,
}

/** @throws `archive.limit` when `actual` is beyond the limit */
export function checkLimit(limits: ArchiveLimits, name: keyof ArchiveLimits, actual: number, what: string): void {
  if (actual <= limits[name]) return
  throw archiveErrors.error('limit', {
    message: `${what} is beyond the limit "${name}" of ${limits[name]}. Raise the limit if you trust the archive.`,
    subject: { type: 'limit', id: name },
    details: { limit: name, allowed: limits[name], actual },
  })
}
