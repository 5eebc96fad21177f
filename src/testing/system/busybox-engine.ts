import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { Engine, type EngineOptions } from '../../index.ts'

export const imageName = 'busybox:local'

/** A root of a test's own, with the machine's busybox loaded as an image. */
export interface BusyboxRoot extends AsyncDisposable {
  readonly directory: string
  readonly root: string
  readonly tarball: string
  open(options?: EngineOptions): Promise<Engine>
}

export async function busyboxRoot(): Promise<BusyboxRoot> {
  const directory = await mkdtemp(join(tmpdir(), 'tscontainer-system-'))
  const root = join(directory, 'root')
  const tarball = join(directory, 'busybox.tar')
  await writeBusyboxTarball(tarball, imageName)
  const open = (options: EngineOptions = {}) =>
    Engine.open({
      root,
      diagnostics: ({ level, message, error }) => level !== 'debug' && console.error(message, error),
      ...options,
    })
  {
    await using engine = await open()
    await engine.images.load(tarball)
  }
  return {
    directory,
    root,
    tarball,
    open,
    async [Symbol.asyncDispose]() {
      // Not the files only: bridges, rules and forwarding are the host's.
      {
        await using engine = await open()
        await engine.reset()
      }
      await rm(directory, { recursive: true, force: true })
    },
  }
}
