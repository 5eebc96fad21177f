import { randomBytes } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ociCliRuntime } from '../../../drivers/runtime/oci-cli/index.ts'
import type { DriverContext } from '../../driver-kit/context.ts'
import type { ContainerId } from '../../driver-kit/ids.ts'
import type { Bundle, RuntimeDriver, RuntimeTask } from '../../driver-kit/runtime-driver.ts'
import { directoriesOf } from '../../host/cgroup/hierarchy.ts'
import { createHost, type Host } from '../../host/host.ts'
import { createPipe } from '../../host/pipe.ts'
import type { RuntimeSpec } from '../../oci/runtime-spec.ts'
import { buildRuntimeSpec, type SpecInput } from '../../runtime/build-spec.ts'
import { containerOomScore, readHostLimits } from '../../runtime/host-limits.ts'
import { resolveRlimits } from '../../runtime/ulimits.ts'

/** A machine corner for tests of the runtime driver: a busybox root, a driver, and what it must leave behind: nothing. */
export interface BundleFixture extends AsyncDisposable {
  readonly directory: string
  readonly host: Host
  readonly driver: RuntimeDriver
  readonly context: DriverContext
  readonly rootfs: string
  readonly cgroupParent: string
  spec(argv: readonly string[], changes?: Partial<SpecInput>): RuntimeSpec
  bundle(spec: RuntimeSpec, options?: { lifetime?: Bundle['lifetime']; stdin?: number | null }): PreparedBundle
  /** Runs a program to its end. */
  run(argv: readonly string[], changes?: Partial<SpecInput>): Promise<FinishedRun>
  /** What is left that should not be: state directories, cgroups. */
  leftovers(): readonly string[]
}

export interface PreparedBundle {
  readonly id: ContainerId
  readonly bundle: Bundle
  readonly output: Promise<{ readonly stdout: string; readonly stderr: string }>
  /** To be called when the container has its descriptors. */
  given(): void
}

export interface FinishedRun {
  readonly exitCode: number
  readonly signal: string | null
  readonly oomKilled: boolean
  readonly stdout: string
  readonly stderr: string
}

/** A static busybox with all its names, and the files of accounts. */
export function makeBusyboxRoot(rootfs: string): void {
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root'])
    mkdirSync(join(rootfs, name), { recursive: true })
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'))
  for (const name of [
    'sh',
    'true',
    'false',
    'cat',
    'echo',
    'sleep',
    'id',
    'env',
    'pwd',
    'ls',
    'mount',
    'unshare',
    'kill',
    'head',
    'tail',
    'dd',
    'mknod',
    'chroot',
    'grep',
    'seq',
    'hostname',
    'stat',
    'touch',
    'trap',
  ])
    symlinkSync('busybox', join(rootfs, 'bin', name))
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\n')
}

/** All that a file descriptor yields until its end. */
export function readAll(fd: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new (process.getBuiltinModule('node:net').Socket)({ fd, readable: true, writable: false })
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

export async function openBundleFixture(
  binary: string,
  launchEnv: Record<string, string> = {},
): Promise<BundleFixture> {
  const directory = mkdtempSync(join(tmpdir(), 'tscontainer-oci-'))
  const rootfs = join(directory, 'rootfs')
  makeBusyboxRoot(rootfs)
  const diagnostics = (diagnostic: { readonly message: string; readonly error?: unknown }) => {
    throw new Error(diagnostic.message, { cause: diagnostic.error })
  }
  const host = createHost({ diagnostics })
  const context = { directory: join(directory, 'd'), runDirectory: join(directory, 'r'), host, diagnostics, launchEnv }
  for (const made of [context.directory, context.runDirectory]) mkdirSync(made)
  const driver = (await ociCliRuntime.open(context, { binary })) as RuntimeDriver
  const cgroupParent = `/tscontainer-test-${randomBytes(4).toString('hex')}`
  const limits = readHostLimits(host.features().capabilities)
  const target = join(directory, 'mnt')
  mkdirSync(target)

  const detached: PreparedBundle[] = []

  const fixture: BundleFixture = {
    directory,
    host,
    driver,
    context,
    rootfs,
    cgroupParent,
    spec: (argv, changes = {}) =>
      buildRuntimeSpec({
        rootPath: target,
        readOnlyRoot: false,
        hostname: 'box',
        argv,
        env: [],
        workdir: '/',
        user: { uid: 0, gid: 0, additionalGids: [0], home: '/root' },
        userMounts: [],
        files: { resolvConf: null, hosts: null, hostname: null },
        shmBytes: 64 << 20,
        network: { kind: 'new' },
        resources: {},
        cgroupsPath: `${cgroupParent}/${randomBytes(4).toString('hex')}`,
        cgroupMode: host.features().cgroup,
        seccomp: {},
        rlimits: resolveRlimits({}, limits),
        oomScoreAdj: containerOomScore(limits),
        ...changes,
      }),
    bundle(spec, { lifetime = 'process', stdin = null } = {}) {
      const id = randomBytes(32).toString('hex') as ContainerId
      const own = join(directory, id.slice(0, 12))
      mkdirSync(own)
      const out = createPipe()
      const err = createPipe()
      const output = Promise.all([readAll(out.read), readAll(err.read)]).then(([stdout, stderr]) => ({
        stdout,
        stderr,
      }))
      const bundle: Bundle = {
        directory: own,
        spec,
        root: { target, mounts: [{ type: 'bind', source: rootfs, options: ['rbind', 'rprivate'] }] },
        stdio: { kind: 'pipes', stdin, stdout: out.write, stderr: err.write },
        lifetime,
      }
      let open = true
      const given = () => {
        if (open) for (const fd of [out.write, err.write]) closeSync(fd)
        open = false
      }
      const prepared = { id, bundle, output, given }
      if (lifetime === 'detached') detached.push(prepared)
      return prepared
    },
    async run(argv, changes) {
      const prepared = fixture.bundle(fixture.spec(argv, changes))
      let task: RuntimeTask
      try {
        task = await driver.run(prepared.id, prepared.bundle)
      } finally {
        prepared.given()
      }
      const [exit, output] = await Promise.all([task.exited, prepared.output])
      return { ...exit, ...output }
    },
    leftovers() {
      const state = join(context.runDirectory, 'state')
      return [
        ...(existsSync(state) ? readdirSync(state) : []),
        ...directoriesOf(cgroupParent).flatMap((path) =>
          existsSync(path)
            ? readdirSync(path, { withFileTypes: true })
                .filter((e) => e.isDirectory())
                .map((e) => join(path, e.name))
            : [],
        ),
        ...readFileSync('/proc/self/mountinfo', 'utf8')
          .split('\n')
          .filter((line) => line.includes(directory)),
      ]
    },
    async [Symbol.asyncDispose]() {
      for (const { id, bundle } of detached) await driver.sweep(id, bundle)
      await host.cgroups.killTree(cgroupParent)
      await host.cgroups.removeTree(cgroupParent)
      await driver[Symbol.asyncDispose]()
      await host[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return fixture
}

export const devNull = (): number => openSync('/dev/null', 'r')
