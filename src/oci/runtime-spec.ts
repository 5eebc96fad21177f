/**
 * The parts of an OCI bundle's config.json that we write. Names and meanings are those of the OCI runtime-spec
 * (config.md, config-linux.md), version 1.0.2.
 */
export interface RuntimeSpec {
  readonly ociVersion: string
  readonly process: RuntimeProcess
  readonly root: { readonly path: string; readonly readonly?: boolean }
  readonly hostname?: string
  readonly mounts: readonly RuntimeMount[]
  readonly annotations?: Readonly<Record<string, string>>
  readonly linux: RuntimeLinux
}

/** Whom a process runs as: numeric ids in the container. */
export interface RuntimeUser {
  readonly uid: number
  readonly gid: number
  readonly umask?: number
  readonly additionalGids?: readonly number[]
}

/** Capability sets by name (`CAP_CHOWN`), see capabilities(7). */
export interface RuntimeCapabilities {
  readonly bounding?: readonly string[]
  readonly effective?: readonly string[]
  readonly inheritable?: readonly string[]
  readonly permitted?: readonly string[]
  readonly ambient?: readonly string[]
}

/**
 * "Unlimited" is 2^64 - 1 in config.json, which no JavaScript number is: here it is 2^64, what `JSON.parse` makes of it,
 * and `stringifyRuntimeJson` writes it as the file wants it.
 */
export const unlimitedRlimit = 2 ** 64

/** `RLIMIT_NOFILE` and so on. */
export interface RuntimeRlimit {
  readonly type: string
  readonly soft: number
  readonly hard: number
}

/** A process to run: the container's first one, or one that joins it. */
export interface RuntimeProcess {
  readonly terminal?: boolean
  readonly consoleSize?: { readonly height: number; readonly width: number }
  readonly user: RuntimeUser
  readonly args: readonly string[]
  readonly env: readonly string[]
  /** Absolute path in the container; the runtime makes it when it is missing. */
  readonly cwd: string
  readonly capabilities?: RuntimeCapabilities
  readonly rlimits?: readonly RuntimeRlimit[]
  readonly noNewPrivileges?: boolean
  readonly apparmorProfile?: string
  readonly oomScoreAdj?: number
}

/** A mount inside the container, in the words of config.md, "Mounts". */
export interface RuntimeMount {
  readonly destination: string
  readonly type?: string
  readonly source?: string
  readonly options?: readonly string[]
}

/** Kinds of namespaces(7). */
export type RuntimeNamespaceType = 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'user' | 'cgroup' | 'time'

/** A namespace of the container: a new one, or an existing one to join. */
export interface RuntimeNamespace {
  readonly type: RuntimeNamespaceType
  /** Joins this namespace; a new one without it. */
  readonly path?: string
}

/** A device node to make in the container (config-linux.md, "Devices"). */
export interface RuntimeDevice {
  readonly path: string
  readonly type: 'c' | 'b' | 'u' | 'p'
  readonly major?: number
  readonly minor?: number
  readonly fileMode?: number
  readonly uid?: number
  readonly gid?: number
}

/** What the device cgroup allows or refuses; later rules win. */
export interface RuntimeDeviceRule {
  readonly allow: boolean
  readonly type?: 'a' | 'c' | 'b'
  readonly major?: number
  readonly minor?: number
  /** Letters of r, w, m. */
  readonly access?: string
}

/** Limits in the words of cgroup v1; runtimes translate them for v2 (config-linux.md, "Control groups"). */
export interface RuntimeResources {
  readonly devices?: readonly RuntimeDeviceRule[]
  readonly memory?: {
    readonly limit?: number
    readonly reservation?: number
    /** Memory and swap together; -1 for no limit. */
    readonly swap?: number
    readonly disableOOMKiller?: boolean
  }
  readonly cpu?: {
    readonly shares?: number
    readonly quota?: number
    readonly period?: number
    readonly cpus?: string
    readonly mems?: string
  }
  readonly pids?: { readonly limit: number }
  readonly blockIO?: { readonly weight?: number }
  /** Raw cgroup v2 files. */
  readonly unified?: Readonly<Record<string, string>>
}

/** A condition on one argument of a system call. */
export interface RuntimeSeccompArg {
  readonly index: number
  readonly value: number
  readonly valueTwo?: number
  readonly op: string
}

/** What happens to some system calls when all conditions hold. */
export interface RuntimeSeccompRule {
  readonly names: readonly string[]
  readonly action: string
  readonly errnoRet?: number
  readonly args?: readonly RuntimeSeccompArg[]
}

/** A seccomp filter by name of system call (config-linux.md, "Seccomp"). */
export interface RuntimeSeccomp {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number
  readonly architectures?: readonly string[]
  readonly flags?: readonly string[]
  readonly syscalls: readonly RuntimeSeccompRule[]
}

/** The Linux part of a configuration (config-linux.md). */
export interface RuntimeLinux {
  readonly namespaces: readonly RuntimeNamespace[]
  readonly devices?: readonly RuntimeDevice[]
  readonly cgroupsPath?: string
  readonly resources?: RuntimeResources
  readonly rootfsPropagation?: string
  readonly seccomp?: RuntimeSeccomp
  readonly maskedPaths?: readonly string[]
  readonly readonlyPaths?: readonly string[]
  readonly sysctl?: Readonly<Record<string, string>>
  readonly mountLabel?: string
}

interface RawJson {
  rawJSON(text: string): unknown
}

/** The text of a config.json or process.json: like `JSON.stringify`, but exact for `unlimitedRlimit`. */
export function stringifyRuntimeJson(value: RuntimeSpec | RuntimeProcess | RuntimeResources): string {
  const json = JSON as typeof JSON & RawJson
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'number' && item >= unlimitedRlimit ? json.rawJSON('18446744073709551615') : item,
  )
}
