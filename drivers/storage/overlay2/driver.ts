import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
  type ChangeHint,
  copyDirectoryFacts,
  type DraftId,
  type DriverContext,
  fromNodeError,
  type IdMap,
  type MountSpec,
  type StorageCapabilities,
  type StoredTree,
  storageErrors,
  TreeProjects,
  TreeStorage,
  TreeStore,
  type TreeWish,
  throwIfAborted,
} from 'tscontainer/driver-kit'
import { checkIdMap } from './check-id-map.ts'
import { bindMount, kernelMaxDepth, type OverlaySupport, overlayMount } from './mount-options.ts'
import type { Overlay2Options } from './options.ts'
import { findSupport } from './support.ts'
import { backingFilesystem } from './trial.ts'

/** Version of the format below the driver's directory: a `TreeStore`, each tree with diff/ and work/. */
const formatVersion = 1

/**
 * Each tree keeps its own changes in `diff`; the kernel's overlay shows them upon those of its parents. A tree without
 * a parent is its `diff` alone and is bind-mounted.
 */
export class Overlay2Driver extends TreeStorage {
  readonly name = 'overlay2'
  readonly capabilities: StorageCapabilities
  readonly #support: OverlaySupport

  private constructor(context: DriverContext, support: OverlaySupport, store: TreeStore, projects: TreeProjects) {
    super(context, store, projects)
    this.#support = support
    this.capabilities = {
      maxDepth: kernelMaxDepth,
      quota: projects.state.enforced,
      reasons: {
        ...(projects.reason === undefined ? {} : { quota: projects.reason }),
        ...(support.idMap === true ? {} : { idMap: support.idMap.lacking }),
      },
      idMap: support.idMap === true,
      cloneDraft: false,
      changeHint: true,
    }
  }

  static async open(context: DriverContext, options: Overlay2Options, call?: CallOptions): Promise<Overlay2Driver> {
    const support = await findSupport(context, options, call)
    const store = await TreeStore.open(context, { driver: 'overlay2', version: formatVersion }, call)
    try {
      const driver = new Overlay2Driver(context, support, store, await TreeProjects.open(context, store, call))
      driver.#sweepTrials()
      return driver
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw fromNodeError(error)
    }
  }

  override async mounts(draft: DraftId, call?: CallOptions): Promise<readonly MountSpec[]> {
    const mounts = await super.mounts(draft, call)
    const tree = this.store.draft(draft)
    // A volatile mount leaves a mark that keeps the kernel from mounting the same directories again.
    if (tree.facts['volatile'] === true)
      rmSync(join(tree.directory, 'work/work/incompat'), { recursive: true, force: true })
    return mounts
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.store.draft(draft)
    return {
      format: 'overlay',
      directory: this.filesOf(tree),
      lower: this.#lowerOf(tree),
      xattrPrefix: this.#support.xattrPrefix,
    }
  }

  protected override committed({ directory }: StoredTree): void {
    rmSync(join(directory, 'work'), { recursive: true, force: true })
  }

  protected override facts() {
    return {
      'Backing Filesystem': backingFilesystem(this.context.directory),
      'Supports d_type': 'true',
      'Using metacopy': 'false',
      'Native Overlay Diff': 'true',
      userxattr: String(this.#support.xattrPrefix === 'user.overlay.'),
      volatile: String(this.#support.volatile),
    }
  }

  protected override filesOf(tree: StoredTree): string {
    return join(tree.directory, 'diff')
  }

  protected override make({ id, parent, kind, limit, options }: TreeWish): Promise<StoredTree> {
    const { volatile = false, idMap } = options
    if (idMap) this.#checkShift(id, idMap)
    const lower = parent ? [parent.id, ...lowerIds(parent)] : []
    if (lower.length > kernelMaxDepth)
      throw storageErrors.error('too_deep', {
        message: `${id} would stand on ${lower.length} snapshots, and overlay mounts at most ${kernelMaxDepth}. Use an image with fewer layers, or storage driver vfs.`,
        subject: { type: 'draft', id },
        details: { maxDepth: kernelMaxDepth },
      })
    const facts = {
      lower,
      ...(volatile && parent ? { volatile: true } : {}),
      ...(limit ? { project: limit.project.id } : {}),
      ...(idMap ? { idMap } : {}),
    }
    const fill = (directory: string) => {
      if (kind === 'view' && parent) return
      const diff = join(directory, 'diff')
      mkdirSync(diff, { mode: 0o755 })
      limit?.project.assign(diff)
      // Whatever the umask of the process is.
      if (!parent) chmodSync(diff, 0o755)
      else {
        mkdirSync(join(directory, 'work'), { mode: 0o700 })
        // Copies upwards are made there and then moved, which only works within one project.
        limit?.project.assign(join(directory, 'work'))
        copyDirectoryFacts(this.context, this.filesOf(parent), diff, /^(trusted|user)\.overlay\./)
      }
      limit?.project.limitTo(limit.bytes)
    }
    return this.store.create({ id, parent, kind, facts }, fill, options)
  }

  /** The parents' directories, topmost first. */
  #lowerOf(tree: StoredTree): readonly string[] {
    return lowerIds(tree).map((id) => join(this.context.directory, 'snapshots', id, 'diff'))
  }

  /** Trials of processes that were killed; those of living ones take milliseconds. */
  #sweepTrials(): void {
    for (const name of readdirSync(this.context.directory)) {
      const path = join(this.context.directory, name)
      const made = name.startsWith('probe-') ? statSync(path, { throwIfNoEntry: false }) : undefined
      if (made && Date.now() - made.mtimeMs > 60_000) this.store.discard(path)
    }
  }

  #checkShift(draft: DraftId, map: IdMap): void {
    if (this.#support.idMap !== true)
      throw storageErrors.error('unsupported', {
        message: `The owners of ${draft} cannot be shifted here: ${this.#support.idMap.lacking}. Use Linux 5.19 or newer and a file system with id-mapped mounts, or leave idMap out.`,
        subject: { type: 'draft', id: draft },
      })
    checkIdMap(draft, map)
  }

  protected override mountsOf(tree: StoredTree): readonly MountSpec[] {
    const { idMap } = tree.facts as { idMap?: IdMap }
    const mounts = this.#plainMountsOf(tree)
    return idMap ? mounts.map((spec) => ({ ...spec, shift: { ...idMap, within: this.context.directory } })) : mounts
  }

  #plainMountsOf(tree: StoredTree): readonly MountSpec[] {
    const lower = this.#lowerOf(tree)
    const diff = this.filesOf(tree)
    if (lower.length === 0) return [bindMount(diff, tree.kind === 'view')]
    if (tree.kind !== 'view')
      return [
        overlayMount(this.#support, {
          lower,
          upper: diff,
          work: join(tree.directory, 'work'),
          volatile: tree.facts['volatile'] === true,
        }),
      ]
    return lower.length === 1 ? [bindMount(lower[0]!, true)] : [overlayMount(this.#support, { lower })]
  }
}

const lowerIds = (tree: StoredTree): readonly string[] => (tree.facts as { lower?: readonly string[] }).lower ?? []
