import type { CgroupMode } from '../host/kernel.ts'
import type {
  RuntimeDeviceRule,
  RuntimeNamespace,
  RuntimeProcess,
  RuntimeResources,
  RuntimeRlimit,
  RuntimeSeccomp,
  RuntimeSpec,
} from '../oci/runtime-spec.ts'
import { containerMounts, type NetworkFiles, type UserMount } from './container-mounts.ts'
import type { ResolvedDevices } from './devices.ts'
import { capabilitySets, defaultCapabilities, deviceRules, maskedPaths, readonlyPaths } from './process-defaults.ts'
import { processEnv } from './process-env.ts'
import type { ResolvedUser } from './resolve-user.ts'
import { restrictPaths, type StoredSecurity } from './security.ts'

/** Which network namespace a container gets: this machine's, an existing one, or a new and empty one. */
export type NetworkNamespace =
  | { readonly kind: 'host' }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'new' }

/** The system call filter of a container; see `defaultSeccomp`. */
export interface SeccompPart {
  readonly profile?: RuntimeSeccomp
  readonly annotations?: Readonly<Record<string, string>>
}

export interface SpecInput {
  /** Absolute path of the mounted root. */
  readonly rootPath: string
  readonly readOnlyRoot: boolean
  readonly hostname: string
  readonly argv: readonly string[]
  /** `KEY=value` of the image and the container; PATH, HOME, HOSTNAME and TERM are added where missing. */
  readonly env: readonly string[]
  readonly workdir: string
  readonly user: ResolvedUser
  readonly terminal?: boolean
  /** From `resolveRlimits`. */
  readonly rlimits: readonly RuntimeRlimit[]
  /** Default: Docker's fourteen. */
  readonly capabilities?: readonly string[]
  readonly noNewPrivileges?: boolean | undefined
  /** -1000 to 1000; from `containerOomScore` unless the user has a wish. */
  readonly oomScoreAdj: number
  readonly userMounts: readonly UserMount[]
  readonly files: NetworkFiles
  readonly shmBytes: number
  readonly network: NetworkNamespace
  /** From `resolveResources`. */
  readonly resources: RuntimeResources
  /** Path of the cgroup below the hierarchy's root, or `slice:prefix:name` for systemd. */
  readonly cgroupsPath: string
  readonly cgroupMode: CgroupMode
  readonly seccomp: SeccompPart
  readonly annotations?: Readonly<Record<string, string>>
  /** Paths to hide besides the defaults; see `thermalPaths`. */
  readonly maskedPaths?: readonly string[]
  /** Of `Security`. */
  readonly mask?: readonly string[] | undefined
  readonly unmask?: StoredSecurity['unmask'] | undefined
  /** The container may change /sys and its cgroups. */
  readonly privileged?: boolean
  readonly devices?: ResolvedDevices
  readonly deviceRules?: readonly RuntimeDeviceRule[]
  /** Kernel settings; from `checkSysctls`. */
  readonly sysctls?: Readonly<Record<string, string>>
}

/** Bytes of /dev/shm unless the user says otherwise; Docker's default. */
export const defaultShmBytes = 64 * 1024 * 1024

/**
 * The config.json of a container, with Docker's defaults. Pure.
 *
 * @throws runtime.bad_mount
 */
export function buildRuntimeSpec(input: SpecInput): RuntimeSpec {
  const { mask = [], unmask = [], sysctls = {}, devices: { nodes, rules } = { nodes: [], rules: [] } } = input
  const annotations = { ...input.annotations, ...input.seccomp.annotations }
  return {
    ociVersion: '1.0.2',
    process: buildProcess(input),
    root: { path: input.rootPath, readonly: input.readOnlyRoot },
    hostname: input.hostname,
    mounts: containerMounts(input),
    ...(Object.keys(annotations).length > 0 && { annotations }),
    linux: {
      namespaces: namespaces(input),
      cgroupsPath: input.cgroupsPath,
      ...(nodes.length > 0 && { devices: nodes }),
      resources: { devices: [...deviceRules, ...rules, ...(input.deviceRules ?? [])], ...input.resources },
      rootfsPropagation: rootPropagation(input.userMounts),
      ...(input.seccomp.profile && { seccomp: input.seccomp.profile }),
      maskedPaths: restrictPaths([...maskedPaths, ...(input.maskedPaths ?? [])], { mask, unmask }),
      readonlyPaths: restrictPaths(readonlyPaths, { mask: [], unmask }),
      ...(Object.keys(sysctls).length > 0 && { sysctl: sysctls }),
    },
  }
}

export type ProcessInput = Pick<
  SpecInput,
  | 'hostname'
  | 'argv'
  | 'env'
  | 'workdir'
  | 'user'
  | 'terminal'
  | 'rlimits'
  | 'capabilities'
  | 'noNewPrivileges'
  | 'oomScoreAdj'
>

/** A process of a container: its first one, or one for `exec`. */
export function buildProcess(input: ProcessInput): RuntimeProcess {
  const { uid, gid, additionalGids, home } = input.user
  const terminal = input.terminal ?? false
  return {
    terminal,
    user: { uid, gid, additionalGids },
    args: input.argv,
    env: processEnv({ hostname: input.hostname, home, terminal, env: input.env }),
    cwd: input.workdir,
    capabilities: capabilitySets(uid, input.capabilities ?? defaultCapabilities),
    rlimits: input.rlimits,
    noNewPrivileges: input.noNewPrivileges ?? false,
    oomScoreAdj: input.oomScoreAdj,
  }
}

function namespaces({ network, cgroupMode }: SpecInput): readonly RuntimeNamespace[] {
  return [
    { type: 'mount' },
    { type: 'pid' },
    { type: 'ipc' },
    { type: 'uts' },
    ...(network.kind === 'host'
      ? []
      : [{ type: 'network' as const, ...(network.kind === 'path' && { path: network.path }) }]),
    // As Docker: a container on v2 sees its own cgroup as the root; v1 hosts keep the host's view (one `cgroup` mount
    // per controller, bound to the container's part and read-only).
    ...(cgroupMode === 'v2' ? [{ type: 'cgroup' as const }] : []),
  ]
}

// A bind that shares mount events works only when the root passes them on.
function rootPropagation(mounts: readonly UserMount[]): string {
  const wanted = new Set(mounts.map((mount) => (mount.type === 'bind' ? mount.propagation : 'rprivate')))
  if (wanted.has('rshared') || wanted.has('shared')) return 'rshared'
  return wanted.has('rslave') || wanted.has('slave') ? 'rslave' : 'rprivate'
}
