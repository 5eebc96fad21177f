import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
  copyDirectoryFacts,
  type DriverContext,
  type MountSpec,
  type StorageCapabilities,
  type StoredTree,
  storageErrors,
  TreeProjects,
  TreeStorage,
  TreeStore,
  type TreeWish,
} from 'tscontainer/driver-kit'
import { bindMount, fuseOverlayMount, maxDepth } from './mounts.ts'

/** Version of the format below the driver's directory: a `TreeStore`, each tree with diff/ and work/. */
const formatVersion = 1

/**
 * The layout of `overlay2`, merged by a program. Its marks of deletions differ with its version and rights, so that only
 * it reads them: there are no hints about changes.
 */
export class FuseOverlayfsDriver extends TreeStorage {
  readonly name = 'fuse-overlayfs'
  readonly capabilities: StorageCapabilities

  private constructor(context: DriverContext, store: TreeStore, projects: TreeProjects) {
    super(context, store, projects)
    this.capabilities = {
      maxDepth,
      quota: projects.state.enforced,
      ...(projects.reason === undefined ? {} : { reasons: { quota: projects.reason } }),
      idMap: false,
      cloneDraft: false,
      changeHint: false,
    }
  }

  static async open(context: DriverContext, call?: CallOptions): Promise<FuseOverlayfsDriver> {
    const store = await TreeStore.open(context, { driver: 'fuse-overlayfs', version: formatVersion }, call)
    try {
      return new FuseOverlayfsDriver(context, store, await TreeProjects.open(context, store, call))
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw error
    }
  }

  protected override committed({ directory }: StoredTree): void {
    rmSync(join(directory, 'work'), { recursive: true, force: true })
  }

  protected override filesOf(tree: StoredTree): string {
    return join(tree.directory, 'diff')
  }

  protected override make({ id, parent, kind, limit, options }: TreeWish): Promise<StoredTree> {
    const lower = parent ? [parent.id, ...lowerIds(parent)] : []
    if (lower.length > maxDepth)
      throw storageErrors.error('too_deep', {
        message: `${id} would stand on ${lower.length} snapshots, and fuse-overlayfs is given at most ${maxDepth}. Use an image with fewer layers, or storage driver vfs.`,
        subject: { type: 'draft', id },
        details: { maxDepth },
      })
    const facts = { lower, ...(limit ? { project: limit.project.id } : {}) }
    const fill = (directory: string) => {
      if (kind === 'view' && parent) return
      const made = [join(directory, 'diff'), ...(parent ? [join(directory, 'work')] : [])]
      for (const path of made) {
        mkdirSync(path)
        limit?.project.assign(path)
        // Whatever the umask of the process is.
        chmodSync(path, 0o755)
      }
      if (parent) copyDirectoryFacts(this.context, this.filesOf(parent), made[0]!, /\.(overlay|fuseoverlayfs)\./)
      limit?.project.limitTo(limit.bytes)
    }
    return this.store.create({ id, parent, kind, facts }, fill, options)
  }

  protected override mountsOf(tree: StoredTree): readonly MountSpec[] {
    const lower = lowerIds(tree).map((id) => join(this.context.directory, 'snapshots', id, 'diff'))
    const [first] = lower
    const upper = this.filesOf(tree)
    if (first === undefined) return [bindMount(upper, tree.kind === 'view')]
    if (tree.kind !== 'view') return [fuseOverlayMount({ lower, upper, work: join(tree.directory, 'work') })]
    return lower.length === 1 ? [bindMount(first, true)] : [fuseOverlayMount({ lower })]
  }
}

const lowerIds = (tree: StoredTree): readonly string[] => (tree.facts as { lower?: readonly string[] }).lower ?? []
