import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../errors/host-errors.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import type { DraftId, SnapshotId } from './ids.ts'
import type { SnapshotInfo } from './storage-driver.ts'

/** What a driver keeps about a tree besides its place: JSON. */
export type TreeFacts = Readonly<Record<string, unknown>>

/** A draft, view or snapshot of a `TreeStore`. */
export interface StoredTree extends SnapshotInfo {
  readonly facts: TreeFacts
  /** The tree's directory: record.json and whatever the driver put beside it. Moves when a draft is committed. */
  readonly directory: string
}

export const recordName = 'record.json'

type RecordFile = {
  readonly parent: SnapshotId | null
  readonly createdAt: number
  readonly view?: boolean
  readonly facts: TreeFacts
}

const isRecordFile = (value: unknown): value is RecordFile =>
  typeof value === 'object' &&
  value !== null &&
  'parent' in value &&
  (value.parent === null || typeof value.parent === 'string') &&
  'createdAt' in value &&
  typeof value.createdAt === 'number' &&
  'facts' in value &&
  typeof value.facts === 'object' &&
  value.facts !== null

export function writeTreeRecord(directory: string, record: RecordFile): void {
  writeFileSync(join(directory, recordName), JSON.stringify(record), { mode: 0o600 })
}

/** `null` when there is no such directory. @throws `storage.corrupt` */
export function readTreeRecord(
  directory: string,
  id: DraftId | SnapshotId,
  place: 'drafts' | 'snapshots',
): StoredTree | null {
  let text: string
  try {
    text = readFileSync(join(directory, recordName), 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null
    throw error
  }
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    record = null
  }
  if (!isRecordFile(record))
    throw storageErrors.error('corrupt', {
      message: `${join(directory, recordName)} is damaged. Remove ${id} and make it again from its image.`,
      subject: { type: 'snapshot', id },
    })
  return {
    id,
    kind: place === 'snapshots' ? 'snapshot' : record.view ? 'view' : 'draft',
    parent: record.parent,
    createdAt: new Date(record.createdAt),
    facts: record.facts,
    directory,
  }
}

const idPattern = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$/

/** Ids become file names as they are. @throws `storage.bad_id` */
export function checkTreeId(id: string): void {
  if (typeof id !== 'string' || !idPattern.test(id))
    throw storageErrors.error('bad_id', {
      message: `${JSON.stringify(id)} is no id for a draft or snapshot. ${storageErrors.codes.bad_id.help}`,
      subject: { type: 'snapshot', id: String(id) },
    })
}
