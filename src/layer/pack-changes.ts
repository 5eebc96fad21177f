import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ChangeHint } from '../driver-kit/storage-driver.ts'
import type { MountSpec } from '../host/mount-spec.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { TreeChange } from './change-list.ts'
import {
  type ChangeSubject,
  listTreeChanges,
  type PackOptions,
  type PackResult,
  packTar,
  type RunPackJob,
} from './pack-tar.ts'

/** Two trees by how to mount them, where no driver says what is different. */
export interface TreePair {
  readonly format: 'mounts'
  readonly newer: readonly MountSpec[]
  /** Null for an empty one. */
  readonly older: readonly MountSpec[] | null
}

export interface ChangeOptions extends CallOptions {
  /** An existing directory of the engine's own: empty mount points are made in it meanwhile. */
  readonly scratch: string
  /** Absolute paths on which something was mounted: what was made there to mount upon is no change. */
  readonly mountPoints?: readonly string[] | undefined
  readonly run?: RunPackJob | undefined
}

export interface PackChangesOptions extends ChangeOptions, PackOptions {}

/**
 * Writes what a draft changes as an OCI layer, an uncompressed tar, to a blocking descriptor that stays open. The same
 * changes always give the same bytes. Nobody may write to the draft meanwhile.
 *
 * @throws `layer.unsupported_entry`, `layer.disk_full`, `layer.apply_failed`, `call.aborted`
 */
export function packChanges(
  hint: ChangeHint | TreePair,
  output: number,
  options: PackChangesOptions,
): Promise<PackResult> {
  return withSubject(hint, options, (subject) => packTar(subject, output, options))
}

/**
 * What a draft adds (A), modifies (C) and deletes (D), as `docker diff` tells it: a deleted directory is one change, the
 * directories above a change are modified.
 *
 * @throws `layer.apply_failed`, `call.aborted`
 */
export function listChanges(hint: ChangeHint | TreePair, options: ChangeOptions): Promise<readonly TreeChange[]> {
  return withSubject(hint, options, (subject) => listTreeChanges(subject, options))
}

async function withSubject<T>(
  hint: ChangeHint | TreePair,
  { scratch, mountPoints = [] }: ChangeOptions,
  use: (subject: ChangeSubject) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(scratch, 'changes-'))
  const made = [join(directory, 'older'), join(directory, 'newer')] as const
  try {
    for (const path of made) mkdirSync(path)
    const older = olderMounts(hint)
    return await use({
      kind: 'changes',
      format: hint.format === 'overlay' ? 'overlay' : 'trees',
      directory,
      older: older && { target: made[0], mounts: older },
      newer: { target: made[1], mounts: hint.format === 'mounts' ? hint.newer : [readOnly(hint.directory)] },
      xattrPrefix: hint.format === 'overlay' ? hint.xattrPrefix : 'trusted.overlay.',
      mountPoints,
    })
  } finally {
    // Only ever mounted in the thread's own namespace, so they are empty here.
    for (const path of [...made, directory]) rmdirSync(path)
  }
}

const readOnly = (source: string): MountSpec => ({ type: 'bind', source, options: ['bind', 'ro'] })

function olderMounts(hint: ChangeHint | TreePair): readonly MountSpec[] | null {
  if (hint.format === 'mounts') return hint.older
  if (hint.format === 'trees') return hint.parent === null ? null : [readOnly(hint.parent)]
  const [first, ...more] = hint.lower
  if (first === undefined) return null
  // The kernel does not make an overlay of one directory.
  if (more.length === 0) return [readOnly(first)]
  // Its option string is split at commas and colons that no backslash escapes.
  const lower = hint.lower.map((path) => path.replaceAll(/[\\,:]/g, '\\$&')).join(':')
  const options = ['ro', `lowerdir=${lower}`, 'redirect_dir=nofollow', 'metacopy=off', 'index=off', 'xino=off']
  if (hint.xattrPrefix === 'user.overlay.') options.push('userxattr')
  return [{ type: 'overlay', source: 'overlay', options }]
}
