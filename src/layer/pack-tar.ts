import type { RootMount } from '../host/launcher.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { TreeChange } from './change-list.ts'
import { type ConfinedWorkerOptions, runConfined } from './confined-worker.ts'

/** A whole tree. */
export interface TreeSubject {
  readonly kind: 'tree'
  readonly tree: RootMount
}

/** The root of a running container; `namespace` is a descriptor of its mount namespace in this process. */
export interface RunningSubject {
  readonly kind: 'running'
  readonly namespace: number
}

/** What a tree changes of an older one. Both targets lie directly below `directory`. */
export interface ChangeSubject {
  readonly kind: 'changes'
  /** `overlay`: `newer` shows an overlay's upper directory, `older` what is below it. */
  readonly format: 'overlay' | 'trees'
  readonly older: RootMount | null
  readonly newer: RootMount
  readonly directory: string
  /** Which attributes are the overlay's own. */
  readonly xattrPrefix: 'trusted.overlay.' | 'user.overlay.'
  /** Absolute paths on which something was mounted: what was made there to mount upon is no change. */
  readonly mountPoints: readonly string[]
}

export type PackJob =
  /** `output` is a descriptor of this process. */
  | {
      readonly task: 'tar'
      readonly subject: TreeSubject | RunningSubject | ChangeSubject
      readonly output: number
      readonly disk: DiskWish
      readonly digest: boolean
    }
  | { readonly task: 'list'; readonly subject: ChangeSubject }

/** What becomes of a tar on the disk: nothing, it is begun to be written back early, or it is there at the end. */
export type DiskWish = 'none' | 'begun' | 'durable'

export interface PackResult {
  readonly bytes: number
  readonly entries: number
  /** Of regular files. */
  readonly fileBytes: number
  /** Of the tar; null when nobody asked for it. */
  readonly digest: Digest | null
}

/** Runs jobs; by default each in a thread of its own. */
export type RunPackJob = <Result>(job: PackJob, options: ConfinedWorkerOptions) => Promise<Result>

const inOwnThread: RunPackJob = (job, options) => runConfined('pack', job, options)

export interface PackOptions extends CallOptions {
  /** Bytes written so far. */
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** The output is a file, written from its beginning, that is to be on the disk when the call ends. Default `none`. */
  readonly disk?: DiskWish | undefined
  /** Whether its sha256 is computed along the way. Default false. */
  readonly digest?: boolean | undefined
  /** Default: a thread of its own. */
  readonly run?: RunPackJob | undefined
}

/**
 * Writes a tar to a descriptor, in a thread that has confined itself to the tree. The same tree always gives the same
 * bytes: names in byte order, PAX records where ustar is too small, whiteouts as OCI layers have them. The descriptor
 * stays open.
 *
 * @throws `layer.disk_full`, `layer.unsupported_entry`, `layer.apply_failed`, `call.aborted`
 */
export function packTar(
  subject: TreeSubject | RunningSubject | ChangeSubject,
  output: number,
  { signal, onBytes, disk = 'none', digest = false, run = inOwnThread }: PackOptions = {},
): Promise<PackResult> {
  const job: PackJob = { task: 'tar', subject, output, disk, digest }
  return run<PackResult>(job, { doing: 'Writing a tar', signal, onBytes })
}

/** Lists what a tree changes, in the same kind of thread. @throws `layer.apply_failed`, `call.aborted` */
export function listTreeChanges(
  subject: ChangeSubject,
  { signal, run = inOwnThread }: Pick<PackOptions, 'signal' | 'run'> = {},
): Promise<readonly TreeChange[]> {
  const job: PackJob = { task: 'list', subject }
  return run<readonly TreeChange[]>(job, { doing: 'Comparing two trees', signal })
}
