import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { isAbsolute, join } from 'node:path'
import {
  type CallOptions,
  type DriverContext,
  type MissingRequirement,
  type RuntimeSpec,
  stringifyRuntimeJson,
} from 'tscontainer/driver-kit'
import { runtimeEnv } from './command-line.ts'
import { judgeVersion } from './minimum-versions.ts'
import type { OciCliOptions } from './options.ts'
import { readRuntimeLog } from './runtime-log.ts'
import { compareVersions, parseVersion } from './runtime-version.ts'

/** A runtime that was tried and works here. */
export interface RuntimeProgram {
  readonly path: string
  readonly seccompForm: 'profile' | 'crun-bpf'
  readonly facts: Readonly<Record<string, string>>
  readonly warnings: readonly string[]
}

/** In order of preference: crun starts a container in half of runc's time and an eighth of its memory. */
const candidates = ['crun', 'runc']

/** crun 0.17 brought the annotation `run.oci.seccomp_bpf_data`; nothing below the minimum version is run anyway. */
const annotationSince = '0.17'

/** The first runtime that works, or why none does. */
export async function findRuntime(
  context: DriverContext,
  options: OciCliOptions,
  call?: CallOptions,
): Promise<RuntimeProgram | readonly MissingRequirement[]> {
  const missing: MissingRequirement[] = []
  for (const name of options.binary === undefined ? candidates : [options.binary]) {
    const path = locate(name)
    if (path === null) {
      missing.push({ what: `program ${name}`, hint: `Install it: apt-get install ${name}` })
      continue
    }
    const known = readCache(context, path)
    if (known) return known
    const tried = await tryRuntime(context, path, call)
    if ('seccompForm' in tried) {
      writeCache(context, tried)
      return tried
    }
    missing.push(tried)
  }
  return missing
}

function locate(name: string): string | null {
  const directories = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`.split(
    ':',
  )
  const paths = isAbsolute(name) ? [name] : directories.filter(isAbsolute).map((directory) => join(directory, name))
  for (const path of paths) {
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return realpathSync(path)
    } catch {
      // The next one.
    }
  }
  return null
}

async function tryRuntime(
  context: DriverContext,
  path: string,
  call?: CallOptions,
): Promise<RuntimeProgram | MissingRequirement> {
  const { exitCode, stdout } = await context.host.run(path, ['--version'], {
    ...call,
    accept: [0, 1, 2, 125, 126, 127],
  })
  const version = exitCode === 0 ? parseVersion(stdout) : null
  if (!version) return { what: `a working ${path}`, hint: `It does not answer --version like an OCI runtime does.` }
  const { refusal, warnings } = judgeVersion(version)
  if (refusal !== null) return { what: `a safe ${version.flavor}`, hint: `${refusal} Upgrade the package of ${path}.` }
  const failure = await runTrial(context, path, call)
  if (failure !== null) return { what: `a working ${path}`, hint: `A trial container failed: ${failure}` }
  const bpf = version.flavor === 'crun' && version.seccomp && compareVersions(version.version, annotationSince) >= 0
  const seccompForm = bpf ? 'crun-bpf' : 'profile'
  return {
    path,
    seccompForm,
    facts: {
      binary: path,
      runtime: version.flavor,
      version: version.revision ?? version.version,
      seccomp: seccompForm,
    },
    warnings,
  }
}

/** Runs /bin/true of this machine in a container on a read-only view of the machine's own root; null when that works. */
async function runTrial(context: DriverContext, path: string, call?: CallOptions): Promise<string | null> {
  mkdirSync(context.runDirectory, { recursive: true, mode: 0o700 })
  const bundle = mkdtempSync(join(context.runDirectory, 'trial-'))
  const id = `tscontainer-trial-${bundle.slice(-6)}`
  const root = join(bundle, 'root')
  const log = join(bundle, 'log')
  const cgroup = `/${id}`
  try {
    mkdirSync(root)
    writeFileSync(join(bundle, 'config.json'), stringifyRuntimeJson(trialSpec(root, cgroup)))
    const runtime = await context.host.launcher.launch(
      {
        root: { target: root, mounts: [{ type: 'bind', source: '/', options: ['rbind', 'ro', 'rprivate'] }] },
        file: path,
        args: ['--root', join(bundle, 'state'), '--log', log, '--log-format', 'json', 'run', '--bundle', bundle, id],
        env: { ...runtimeEnv(bundle), ...context.launchEnv },
        session: 'own',
        stdio: ['ignore', 'ignore', 'ignore'],
      },
      call,
    )
    runtime.ref()
    const { code } = await runtime.exited.finally(() => runtime.unref())
    return code === 0 ? null : readRuntimeLog(log) || `it ended with code ${code}`
  } finally {
    await context.host.cgroups.removeTree(cgroup)
    rmSync(bundle, { recursive: true, force: true })
  }
}

const trialSpec = (root: string, cgroupsPath: string): RuntimeSpec => ({
  ociVersion: '1.0.2',
  process: { user: { uid: 0, gid: 0 }, args: ['/bin/true'], env: ['PATH=/bin:/usr/bin'], cwd: '/' },
  root: { path: root, readonly: true },
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
  linux: {
    namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'network' }],
    cgroupsPath,
  },
})

const cacheFile = (context: DriverContext) => join(context.runDirectory, 'runtime-program.json')

// A program is known by its place, size and time; what the kernel allows, by the boot.
function fingerprint(context: DriverContext, path: string): string {
  const { size, mtimeMs, ino } = statSync(path)
  return JSON.stringify([path, size, mtimeMs, ino, context.host.features().bootId])
}

function readCache(context: DriverContext, path: string): RuntimeProgram | null {
  try {
    const cached = JSON.parse(readFileSync(cacheFile(context), 'utf8')) as { key: string; program: RuntimeProgram }
    return cached.key === fingerprint(context, path) ? cached.program : null
  } catch {
    return null
  }
}

function writeCache(context: DriverContext, program: RuntimeProgram): void {
  const file = cacheFile(context)
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, JSON.stringify({ key: fingerprint(context, program.path), program }))
  renameSync(draft, file)
}
