import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CallOptions,
  type DriverContext,
  isEngineError,
  type MissingRequirement,
  type Probe,
} from 'tscontainer/driver-kit'
import { fuseOverlayMount } from './mounts.ts'
import type { FuseOverlayfsOptions } from './options.ts'

/** Looks for the program and the device, and tries a mount; leaves nothing. */
export async function probe(
  context: DriverContext,
  _options: FuseOverlayfsOptions,
  call?: CallOptions,
): Promise<Probe> {
  const missing: MissingRequirement[] = []
  let version = ''
  try {
    const { stdout } = await context.host.run('fuse-overlayfs', ['--version'], call)
    version = /fuse-overlayfs: version (\S+)/.exec(stdout)?.[1] ?? 'unknown'
  } catch (error) {
    if (isEngineError(error, { kind: 'aborted' })) throw error
    missing.push({ what: 'program fuse-overlayfs', hint: 'install the package fuse-overlayfs' })
  }
  if (!existsSync('/dev/fuse'))
    missing.push({
      what: 'device /dev/fuse',
      hint: 'load it with `modprobe fuse`; inside a container hand it in with --device /dev/fuse',
    })
  if (missing.length > 0) return { usable: false, missing }
  const reason = await tryMount(context, call)
  if (reason !== null)
    return {
      usable: false,
      missing: [{ what: `a working fuse-overlayfs: ${reason}`, hint: 'use driver overlay2 or vfs' }],
    }
  return { usable: true, facts: { 'fuse-overlayfs': version } }
}

async function tryMount(context: DriverContext, call?: CallOptions): Promise<string | null> {
  const directory = join(context.directory, `probe-${randomBytes(4).toString('hex')}`)
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
    string,
  ]
  try {
    for (const path of [lower, upper, work, merged]) mkdirSync(path, { recursive: true, mode: 0o700 })
    writeFileSync(join(lower, 'file'), 'x')
    const mounts = [fuseOverlayMount({ lower: [lower], upper, work })]
    const lease = await context.host.launcher.mount({ target: merged, mounts }, call)
    try {
      unlinkSync(join(lease.path, 'file'))
      return readdirSync(lease.path).length === 0 ? null : 'deleted files stay visible'
    } finally {
      await lease[Symbol.asyncDispose]()
    }
  } catch (error) {
    if (isEngineError(error, { kind: 'aborted' })) throw error
    return error instanceof Error ? error.message : String(error)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
