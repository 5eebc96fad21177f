import { existsSync, readdirSync, readlinkSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../errors/host-errors.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import type { DraftId, SnapshotId } from './ids.ts'
import { readTreeRecord } from './tree-record.ts'

type AnyId = DraftId | SnapshotId

/**
 * Which trees stand upon a snapshot: one symlink per child in its `children` directory. The link's target is where the
 * child comes from (its staging directory, or the draft it is committed from), so that a link that a crash left can be
 * told from one whose child is just being made. Removing the directory is the gate: it fails while a child is there,
 * and once it is gone no child can be added. No lock is needed, also between processes.
 */
export class TreeChildren {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  /** @throws `storage.not_found` when the parent is not there or is being removed. */
  add(parent: SnapshotId, child: AnyId, origin: string): void {
    const link = this.#link(parent, child)
    try {
      try {
        symlinkSync(origin, link)
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
        rmSync(link, { force: true })
        symlinkSync(origin, link)
      }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw treeNotFound(parent)
      throw error
    }
  }

  remove(parent: SnapshotId, child: AnyId): void {
    rmSync(this.#link(parent, child), { force: true })
  }

  /** The living children; links of dead ones are removed on the way. */
  of(parent: SnapshotId): readonly AnyId[] {
    let names: string[]
    try {
      names = readdirSync(join(this.#root, 'snapshots', parent, 'children'))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
    return (names as AnyId[]).filter((child) => {
      if (this.#isAlive(parent, child)) return true
      this.remove(parent, child)
      return false
    })
  }

  /** Closes the gate. @throws `storage.has_children` */
  close(parent: SnapshotId): void {
    for (;;) {
      const children = this.of(parent)
      if (children.length > 0)
        throw storageErrors.error('has_children', {
          message: `Snapshot ${parent} cannot be removed: ${children.slice(0, 3).join(', ')}${children.length > 3 ? ', ...' : ''} stand upon it. Remove them first.`,
          subject: { type: 'snapshot', id: parent },
          details: { children },
        })
      try {
        rmdirSync(join(this.#root, 'snapshots', parent, 'children'))
        return
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return
        if (errnoOf(error) !== 'ENOTEMPTY') throw error
      }
    }
  }

  // The origin is looked at first: a child that is published meanwhile is found at its place afterwards.
  #isAlive(parent: SnapshotId, child: AnyId): boolean {
    try {
      const origin = readlinkSync(this.#link(parent, child))
      if (existsSync(join(this.#root, origin))) return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
    for (const place of ['drafts', 'snapshots'] as const) {
      try {
        const record = readTreeRecord(join(this.#root, place, child), child, place)
        if (record?.parent === parent) return true
      } catch {
        return true
      }
    }
    return false
  }

  #link(parent: SnapshotId, child: AnyId): string {
    return join(this.#root, 'snapshots', parent, 'children', child)
  }
}

export const treeNotFound = (id: AnyId) =>
  storageErrors.error('not_found', {
    message: `There is no draft or snapshot ${id}. It may have been removed.`,
    subject: { type: 'snapshot', id },
  })
