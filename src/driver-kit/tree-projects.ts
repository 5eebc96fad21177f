import { randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors/call-errors.ts'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import type { FileLock } from '../host/file-lock.ts'
import type { ProjectQuotaState } from '../host/project-quotas.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { DriverContext } from './context.ts'
import type { DraftId, SnapshotId } from './ids.ts'
import type { StoredTree } from './tree-record.ts'
import type { TreeStore } from './tree-store.ts'

/** The project of a draft's file system quota. */
export interface TreeProject {
  readonly id: number
  /** Charges a directory of the draft, and what will be made in it, to the project. */
  assign(directory: string): void
  /** What is charged to it now, in bytes. */
  used(): number
  /** Limits what it may occupy, in bytes. */
  limitTo(bytes: number): void
  /** For a draft that was not made. */
  release(): void
}

type Claim = { readonly draft: string; readonly instance: string }

/** Each root takes its projects from a range of its own, so that two roots on one file system do not meet. */
const rangeSize = 1 << 16
const [firstRange, lastRange] = [0x1000, 0xf000]

/**
 * Size limits for the drafts of a `TreeStore`, by the project quotas of the file system. `projects/<id>` claims a project
 * for a draft before its limit is set; a claim whose draft is not there and whose maker is dead is freed at the next
 * open. A project is taken again only when the file system says that nothing is charged to it, so that files that wait to
 * be deleted, and other users of projects, do no harm.
 */
export class TreeProjects {
  /** Whether limits are kept here; what is missing if not. */
  readonly state: ProjectQuotaState
  readonly #context: DriverContext
  readonly #store: TreeStore
  readonly #directory: string

  private constructor(context: DriverContext, store: TreeStore) {
    this.#context = context
    this.#store = store
    this.#directory = join(context.directory, 'projects')
    this.state = context.host.projectQuotas.state(context.directory)
  }

  /** Frees what a crash left. */
  static async open(context: DriverContext, store: TreeStore, call?: CallOptions): Promise<TreeProjects> {
    const projects = new TreeProjects(context, store)
    if (projects.state.enforced && existsSync(projects.#directory)) await projects.#sweep(call)
    return projects
  }

  /** For `StorageCapabilities.reasons`. */
  get reason(): string | undefined {
    return this.state.enforced ? undefined : `${this.state.missing} is missing: ${this.state.hint}`
  }

  /** Takes a free project for a draft that is about to be made; `facts` go into the tree's record. */
  async claim(draft: DraftId, call?: CallOptions): Promise<TreeProject> {
    this.#checkEnforced(draft)
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
      using _lock = await this.#lock(call)
      const id = this.#findFree()
      writeFileSync(this.#file(id), JSON.stringify({ draft, instance: this.#store.instance } satisfies Claim), {
        mode: 0o600,
        flag: 'wx',
      })
      return this.#project(id, draft)
    } catch (error) {
      throw fromNodeError(error, `Taking a project for ${draft}`)
    }
  }

  /** The project of an existing draft. @throws `storage.unsupported` for a draft that was made without a limit */
  of(tree: StoredTree): TreeProject {
    const id = projectOf(tree)
    if (id === null)
      throw storageErrors.error('unsupported', {
        message: `${tree.id} was made without a size limit, so it cannot be given one now. Make a new draft with a limit.`,
        subject: { type: 'draft', id: tree.id },
      })
    this.#checkEnforced(tree.id)
    return this.#project(id, tree.id)
  }

  /** Before a draft is mounted: refuses when its limit would not be kept, since the file system was mounted otherwise. */
  check(tree: StoredTree): void {
    if (projectOf(tree) === null) return
    const now = this.#context.host.projectQuotas.state(this.#context.directory)
    if (!now.enforced) throw notEnforced(tree.id, now)
  }

  /** After a draft was removed or committed: it has no limit any more. */
  free(tree: StoredTree | null): void {
    if (tree?.kind !== 'draft') return
    const id = projectOf(tree)
    if (id !== null) this.#release(id, tree.id)
  }

  /** Whether any draft of this root was ever limited: else removals need not look. */
  get inUse(): boolean {
    return existsSync(this.#directory)
  }

  #project(id: number, draft: string): TreeProject {
    const { projectQuotas } = this.#context.host
    const { directory } = this.#context
    return {
      id,
      assign: (path) => projectQuotas.assign(path, id),
      used: () => projectQuotas.usage(directory, id).bytes,
      limitTo: (bytes) => projectQuotas.limit(directory, id, bytes),
      release: () => this.#release(id, draft),
    }
  }

  #release(id: number, draft: string): void {
    if (this.#read(id)?.draft === draft) this.#free(id, draft)
  }

  #free(id: number, draft: string): void {
    try {
      // In this order: a limit without a claim would stay for ever.
      if (this.state.enforced) this.#context.host.projectQuotas.limit(this.#context.directory, id, null)
      unlinkSync(this.#file(id))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return
      this.#context.diagnostics({
        level: 'warning',
        source: 'storage',
        message: `The size limit of ${draft} (project ${id}) could not be taken back; the next open tries again.`,
        error,
        subject: draft,
      })
    }
  }

  async #sweep(call?: CallOptions): Promise<void> {
    using _lock = await this.#lock(call)
    const living = this.#store.instances()
    for (const id of this.#claimed()) {
      const claim = this.#read(id)
      if (claim && (living.has(claim.instance) || this.#holds(claim.draft, id))) continue
      this.#free(id, claim?.draft ?? 'an unknown draft')
    }
  }

  #holds(draft: string, project: number): boolean {
    const tree = this.#store.find(draft as DraftId)
    return tree?.kind === 'draft' && projectOf(tree) === project
  }

  #findFree(): number {
    const base = this.#base()
    const claimed = this.#claimed()
    const { directory } = this.#context
    for (let id = base; id < base + rangeSize; id++) {
      if (claimed.has(id)) continue
      const { bytes, inodes, limitBytes } = this.#context.host.projectQuotas.usage(directory, id)
      if (bytes === 0 && inodes === 0 && limitBytes === null) return id
    }
    throw storageErrors.error('disk_full', {
      message: `All ${rangeSize} projects of ${directory} are taken. Remove containers that have a size limit.`,
      subject: { type: 'storage', id: directory },
    })
  }

  /** Start of this root's range; chosen once. */
  #base(): number {
    const file = join(this.#directory, 'base')
    if (!existsSync(file)) {
      writeFileSync(`${file}.new`, String(randomInt(firstRange, lastRange) * rangeSize))
      renameSync(`${file}.new`, file)
    }
    const base = Number(readFileSync(file, 'utf8'))
    if (Number.isSafeInteger(base) && base >= firstRange * rangeSize && base < lastRange * rangeSize) return base
    throw storageErrors.error('corrupt', {
      message: `${file} is damaged. Remove it; another range of projects is taken then.`,
      subject: { type: 'path', id: file },
    })
  }

  #claimed(): ReadonlySet<number> {
    return new Set(
      readdirSync(this.#directory)
        .filter((name) => /^\d+$/.test(name))
        .map(Number),
    )
  }

  #read(id: number): Claim | null {
    try {
      const claim = JSON.parse(readFileSync(this.#file(id), 'utf8')) as Partial<Claim>
      return typeof claim.draft === 'string' && typeof claim.instance === 'string' ? (claim as Claim) : null
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return null
      throw error
    }
  }

  #file(id: number): string {
    return join(this.#directory, String(id))
  }

  async #lock(call?: CallOptions): Promise<FileLock> {
    const path = join(this.#directory, 'lock')
    for (;;) {
      throwIfAborted(call, `Waiting for ${path}`)
      const lock = this.#context.host.tryLock(path)
      if (lock) return lock
      try {
        await sleep(2, undefined, { signal: call?.signal })
      } catch (error) {
        throw call?.signal?.aborted ? abortError(call.signal, `Waiting for ${path}`) : error
      }
    }
  }

  #checkEnforced(id: DraftId | SnapshotId): void {
    if (!this.state.enforced) throw notEnforced(id, this.state)
  }
}

/** The project that a tree's record names. */
function projectOf(tree: StoredTree): number | null {
  const project = tree.facts['project']
  return typeof project === 'number' ? project : null
}

const notEnforced = (id: string, state: Extract<ProjectQuotaState, { enforced: false }>) =>
  storageErrors.error('no_quota', {
    message: `The size of ${id} cannot be limited: ${state.missing} is missing. To have it, ${state.hint}; or leave the limit out.`,
    subject: { type: 'draft', id },
    details: { missing: state.missing, hint: state.hint },
  })
