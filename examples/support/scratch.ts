import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBusyboxTarball } from './busybox-image.ts'

/** A directory for one example, with a data root and an image tarball; disposing deletes it. */
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
  return {
    directory,
    root: join(directory, 'root'),
    tarball,
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true })
    },
  }
}
