import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CallOptions,
  type ChangeHint,
  type DraftId,
  type DriverContext,
  type MountSpec,
  type StorageCapabilities,
  type StoredTree,
  TreeStorage,
  TreeStore,
  type TreeWish,
  throwIfAborted,
} from 'tscontainer/driver-kit'
import type { CopyOptions } from './definition.ts'

/** Version of what lies below the driver's directory: a `TreeStore`, each tree with its files in `files/`. */
const formatVersion = 1

/** Large images take their time: ten minutes for a program instead of the usual one. */
const patience = { timeoutMs: 600_000 }

/** Every tree is a whole copy of its parent, made by cp. */
export class CopyDriver extends TreeStorage {
  readonly name = 'copy'
  readonly capabilities: StorageCapabilities = {
    maxDepth: 1000,
    quota: false,
    idMap: false,
    cloneDraft: false,
    changeHint: true,
  }

  readonly #options: CopyOptions

  private constructor(context: DriverContext, options: CopyOptions, store: TreeStore) {
    super(context, store)
    this.#options = options
  }

  static async open(context: DriverContext, options: CopyOptions, call?: CallOptions): Promise<CopyDriver> {
    const store = await TreeStore.open(context, { driver: 'copy', version: formatVersion }, call)
    return new CopyDriver(context, options, store)
  }

  async changes(draft: DraftId, call?: CallOptions): Promise<ChangeHint> {
    throwIfAborted(call, `Reading the changes of ${draft}`)
    const tree = this.store.draft(draft)
    const parent = tree.parent === null ? null : this.filesOf(this.store.snapshot(tree.parent))
    return { format: 'trees', directory: this.filesOf(tree), parent }
  }

  protected override facts() {
    return { reflink: this.#options.reflink }
  }

  protected override filesOf(tree: StoredTree): string {
    return join(tree.directory, 'files')
  }

  protected override mountsOf(tree: StoredTree): readonly MountSpec[] {
    if (tree.kind !== 'view') return [{ type: 'bind', source: this.filesOf(tree), options: ['rbind', 'rw'] }]
    const shown = tree.parent === null ? tree : this.store.snapshot(tree.parent)
    return [{ type: 'bind', source: this.filesOf(shown), options: ['rbind', 'ro'] }]
  }

  protected override make({ id, parent, kind, options }: TreeWish): Promise<StoredTree> {
    const fill = async (directory: string) => {
      if (kind === 'view' && parent) return
      const files = join(directory, 'files')
      if (parent) {
        const args = ['--archive', `--reflink=${this.#options.reflink}`, '--', this.filesOf(parent), files]
        await this.context.host.run('cp', args, { ...options, ...patience })
      } else {
        await mkdir(files)
        // Whatever the umask of the process is.
        await chmod(files, 0o755)
      }
    }
    return this.store.create({ id, parent, kind, facts: {} }, fill, options)
  }
}
