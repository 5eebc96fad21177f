import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Engine } from 'tscontainer'
import { writeBusyboxTarball } from './busybox-image.ts'

/** A directory for one example, with a data root and an image tarball; disposing resets the root and deletes all. */
export interface Scratch extends AsyncDisposable {
  readonly directory: string
  /** Where the engine keeps its data. Applications usually leave the default, /var/lib/tscontainer. */
  readonly root: string
  /** An image tarball named busybox:local. */
  readonly tarball: string
}

export async function makeScratch(): Promise<Scratch> {
  const directory = await mkdtemp(join(tmpdir(), 'tscontainer-example-'))
  const tarball = join(directory, 'busybox.tar')
  await writeBusyboxTarball(tarball)
  const root = join(directory, 'root')
  return {
    directory,
    root,
    tarball,
    async [Symbol.asyncDispose]() {
      // A root also has things on the host: its bridge, its firewall rules. Applications keep theirs from run to run.
      if (existsSync(root)) {
        await using engine = await Engine.open({ root })
        await engine.reset()
      }
      await rm(directory, { recursive: true, force: true })
    },
  }
}
