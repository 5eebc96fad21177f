import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Engine, type Image } from 'tscontainer'
import { writeBusyboxTarball } from '../examples/support/busybox-image.ts'
import { BareBundles } from './bare-bundles.ts'
import { BareShell } from './bare-shell.ts'
import { installedPeers, type Peer } from './peers.ts'

/** What every row group works with. */
export class Setting implements AsyncDisposable {
  readonly directory: string
  readonly root: string
  readonly tarball: string
  readonly engine: Engine
  readonly image: Image
  readonly shell: BareShell
  readonly bundles: BareBundles
  readonly peers: readonly Peer[]
  readonly rounds: number
  readonly #resources: AsyncDisposableStack

  private constructor(fields: Omit<Setting, typeof Symbol.asyncDispose | 'scratch'>, resources: AsyncDisposableStack) {
    this.directory = fields.directory
    this.root = fields.root
    this.tarball = fields.tarball
    this.engine = fields.engine
    this.image = fields.image
    this.shell = fields.shell
    this.bundles = fields.bundles
    this.peers = fields.peers
    this.rounds = fields.rounds
    this.#resources = resources
  }

  static async make(directory: string, rounds: number): Promise<Setting> {
    await using resources = new AsyncDisposableStack()
    const root = join(directory, 'root')
    const tarball = join(directory, 'busybox.tar')
    await writeBusyboxTarball(tarball, 'tscontainer-bench:busybox')
    const engine = resources.use(await Engine.open({ root }))
    // Its bridge is the host's, not the directory's.
    resources.defer(async () => {
      await engine.reset()
    })
    const [image] = await engine.images.load(tarball)
    if (!image) throw new Error('the tarball held no image')
    const shell = resources.use(new BareShell())
    const bundles = await BareBundles.make(engine, root, image, tarball, join(directory, 'bare'))
    const peers = await installedPeers(directory, tarball, resources)
    const fields = { directory, root, tarball, engine, image, shell, bundles, peers, rounds }
    return new Setting(fields, resources.move())
  }

  /** A new empty directory on the bench's disk. */
  scratch(name: string): string {
    const path = join(this.directory, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}
