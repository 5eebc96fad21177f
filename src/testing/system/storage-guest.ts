import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { overlay2Storage } from '../../../drivers/storage/overlay2/index.ts'
import { vfsStorage } from '../../../drivers/storage/vfs/index.ts'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import type { DraftId, DriverContext } from '../../driver-kit/index.ts'
import { createHost } from '../../host/host.ts'
import { Engine } from '../../index.ts'
import { runStorageSuite, type SuiteReport } from './run-suite.ts'

/** What the guest found; printed as JSON on stdout for storage-vm.test.ts. */
export interface StorageGuestReport {
  /** Per file system and driver: names of the suite's checks, and the failures. */
  readonly suites: Readonly<Record<string, SuiteReport>>
  readonly kills: readonly { readonly claimed: number; readonly limited: number; readonly drafts: number }[]
  readonly twoProcesses: { readonly drafts: number; readonly projects: number }
  readonly refusals: Readonly<Record<string, string>>
  readonly engine: {
    readonly tooMuch: number
    readonly fits: number
    readonly unlimited: number
    readonly left: number
  }
}

const scratch = process.env['VM_SCRATCH'] ?? '/tmp'
const run = promisify(execFile)
const host = createHost({ diagnostics: () => {} })

function mountImage(name: string, make: readonly string[], options: string): string {
  const [image, target] = [join(scratch, `${name}.img`), join(scratch, name)]
  writeFileSync(image, '')
  truncateSync(image, 400 << 20)
  execFileSync(make[0]!, [...make.slice(1), image], { stdio: 'ignore' })
  mkdirSync(target)
  execFileSync('mount', ['-o', `loop${options}`, image, target])
  return target
}

const contextIn = (root: string): DriverContext => {
  const [directory, runDirectory] = [join(root, 'driver'), join(root, 'driver.run')]
  for (const path of [directory, runDirectory]) mkdirSync(path, { recursive: true })
  return { directory, runDirectory, host, diagnostics: () => {} }
}

const claims = (directory: string): readonly number[] =>
  readdirSync(join(directory, 'projects'))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** Projects near the start of the root's range that have a limit. */
function limited(directory: string): readonly number[] {
  const base = Number(readFileSync(join(directory, 'projects/base'), 'utf8'))
  const near = Array.from({ length: 64 }, (_, i) => base + i)
  return near.filter((id) => host.projectQuotas.usage(directory, id).limitBytes !== null)
}

const child = (...args: readonly (string | number)[]) =>
  run(process.execPath, [
    '--conditions=tscontainer-source',
    join(import.meta.dirname, 'storage-guest-child.ts'),
    ...args.map(String),
  ])

async function listDrafts(directory: string): Promise<number> {
  const context = { directory, runDirectory: `${directory}.run`, host, diagnostics: () => {} }
  const driver = await overlay2Storage.open(context, overlay2Storage.parseOptions({}))
  let drafts = 0
  for await (const _ of driver.list()) drafts++
  await driver[Symbol.asyncDispose]()
  return drafts
}

async function killedAtEveryCall(root: string): Promise<StorageGuestReport['kills']> {
  const { directory } = contextIn(root)
  const found: StorageGuestReport['kills'][number][] = []
  // Two directories without a parent: assign and limit per draft; then the removal's limit.
  for (const at of [1, 2, 3, 4, 5]) {
    await child(directory, `k${at}`, 2, at).catch(() => {})
    const drafts = await listDrafts(directory)
    found.push({ claimed: claims(directory).length, limited: limited(directory).length, drafts })
  }
  return found
}

async function twoProcesses(root: string): Promise<StorageGuestReport['twoProcesses']> {
  const { directory } = contextIn(root)
  await Promise.all([child(directory, 'a', 6), child(directory, 'b', 6)])
  return { drafts: await listDrafts(directory), projects: new Set(limited(directory)).size }
}

async function refusal(root: string): Promise<string> {
  const driver = await overlay2Storage.open(contextIn(root), overlay2Storage.parseOptions({}))
  try {
    await driver.prepare('d' as DraftId, null, { quotaBytes: 1 << 20 })
    return 'not refused'
  } catch (error) {
    const left = readdirSync(join(root, 'driver/drafts')).length
    return `${(error as { code?: string }).code} (${left} left): ${(error as Error).message}`
  } finally {
    await driver[Symbol.asyncDispose]()
  }
}

async function throughTheEngine(root: string): Promise<StorageGuestReport['engine']> {
  const engine = await Engine.open({ root })
  const tarball = join(scratch, 'busybox.tar')
  await writeBusyboxTarball(tarball)
  const [image] = await engine.images.load(tarball)
  if (!image) throw new Error('no image in the tarball')
  const write = async (mebibytes: number, storageSize?: string) => {
    const command = ['dd', 'if=/dev/zero', 'of=/file', 'bs=1M', `count=${mebibytes}`]
    const spec = { image, command, networks: 'none' as const }
    const container = await engine.containers.run({ ...spec, ...(storageSize !== undefined && { storageSize }) })
    const { exitCode } = await container.wait()
    await container.remove()
    return exitCode
  }
  const report = { tooMuch: await write(16, '8m'), fits: await write(4, '8m'), unlimited: await write(16) }
  await engine[Symbol.asyncDispose]()
  return { ...report, left: claims(join(root, 'storage/overlay2')).length }
}

const xfs = mountImage('xfs', ['mkfs.xfs', '-q'], ',pquota')
const ext4 = mountImage('ext4', ['mkfs.ext4', '-q', '-O', 'project,quota'], ',prjquota')
// All of them before the launcher takes its copy of the mounts: the guest's are private.
const plain = {
  xfs: mountImage('xfs-plain', ['mkfs.xfs', '-q'], ''),
  ext4: mountImage('ext4-plain', ['mkfs.ext4', '-q'], ''),
  half: mountImage('ext4-half', ['mkfs.ext4', '-q', '-O', 'project,quota'], ''),
}
const suites: Record<string, SuiteReport> = {}
for (const [name, below] of Object.entries({ xfs, ext4 })) {
  const shared = { below, require: ['quota'] as const }
  suites[`overlay2 on ${name}`] = await runStorageSuite({ ...shared, definition: overlay2Storage }, ['capabilities'])
  suites[`vfs on ${name}`] = await runStorageSuite({ ...shared, definition: vfsStorage }, ['capabilities'])
}
const kills = await killedAtEveryCall(join(xfs, 'kills'))
const two = await twoProcesses(join(ext4, 'two'))
const refusals = {
  xfs: await refusal(plain.xfs),
  'ext4 without the features': await refusal(plain.ext4),
  'ext4 without the option': await refusal(plain.half),
  tmpfs: await refusal('/dev/shm'),
}
const engine = await throughTheEngine(join(xfs, 'root'))

// The kernel's defaults turned round: our mounts say what they want.
const parameters = '/sys/module/overlay/parameters'
for (const [name, value] of Object.entries({
  metacopy: 'Y',
  redirect_dir: 'Y',
  redirect_always_follow: 'Y',
  index: 'Y',
}))
  writeFileSync(join(parameters, name), value)
suites['overlay2 with metacopy, redirect_dir and index on by default'] = await runStorageSuite(
  { definition: overlay2Storage, below: scratch },
  ['layers through tars'],
)
await host[Symbol.asyncDispose]()
for (const target of ['xfs', 'ext4', 'xfs-plain', 'ext4-plain', 'ext4-half'])
  execFileSync('umount', [join(scratch, target)])
const report: StorageGuestReport = { suites, kills, twoProcesses: two, refusals, engine }
console.log(JSON.stringify(report))
