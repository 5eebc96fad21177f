import type { LogEntry } from '../driver-kit/log-driver.ts'
import type { DeviceEntry } from '../runtime/devices.ts'
import type { Resources } from '../runtime/resources.ts'
import type { Security } from '../runtime/security.ts'
import type { Ulimits } from '../runtime/ulimits.ts'
import type { Lifetime } from './container-record.ts'
import type { Duration } from './duration.ts'

/** A mount inside the container, as an object or in Docker's short form `source:target[:ro]`. */
export type MountEntry =
  | {
      readonly type: 'bind'
      /** Absolute path on the host. */
      readonly source: string
      /** Absolute path in the container. */
      readonly target: string
      /** Default false. */
      readonly readOnly?: boolean
      /** Makes a missing source directory (mode 0755). Default: true in the short form, else false. */
      readonly createSource?: boolean
      /** Default `rprivate`. */
      readonly propagation?: 'rprivate' | 'private' | 'rslave' | 'slave' | 'rshared' | 'shared'
      /** Whether mounts below the source come along. Default true. */
      readonly recursive?: boolean
    }
  | {
      readonly type: 'tmpfs'
      readonly target: string
      readonly readOnly?: boolean
      /** Bytes, or text such as `64m`. Default: half of the memory. */
      readonly size?: number | string
      /** Default 0o1777. */
      readonly mode?: number
    }

/** What to run and how. Every field but `image` has a default: the image's own configuration, else Docker's. */
export interface ContainerSpec {
  /** An image handle, name, id or id prefix. */
  readonly image: { readonly id: string } | string
  /** Default: generated. */
  readonly name?: string
  /** Replaces the image's Cmd. */
  readonly command?: readonly string[]
  /** Replaces the image's Entrypoint and drops its Cmd; null or [] for none. */
  readonly entrypoint?: readonly string[] | null
  /** Added to the image's; undefined values unset a variable of the image. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** `user[:group]` by name (from the image's own passwd) or number. */
  readonly user?: string
  /** Further groups of the first process, by name (from the image's own group file) or number. */
  readonly groups?: readonly (string | number)[]
  /** Absolute; made when missing. */
  readonly workdir?: string
  /** Default: the first 12 digits of the id. */
  readonly hostname?: string
  /** NIS domain name, `domainname(1)`. Default: none. */
  readonly domainname?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Keeps standard input open for `attach`. Default false: the program reads end of file. */
  readonly stdin?: boolean
  /** Default `process`: nothing of it outlives this process. */
  readonly lifetime?: Lifetime
  /** Removed when it has ended. Default false. */
  readonly autoRemove?: boolean
  /** Default: the default bridge. */
  readonly networks?: readonly string[] | 'none' | 'host'
  readonly mounts?: readonly (string | MountEntry)[]
  /** The root is mounted read-only. Default false. */
  readonly readOnly?: boolean
  readonly resources?: Resources
  readonly ulimits?: Ulimits
  readonly security?: Security
  /** Devices of the host, as objects or in Docker's short form `source[:target[:access]]`. */
  readonly devices?: readonly (string | DeviceEntry)[]
  /** What it may do with devices that have no node in it yet, in Docker's form: `c 10:200 rwm`, `b 8:* r`. */
  readonly deviceRules?: readonly string[]
  /** Kernel settings that a container has for itself, by name: `{ 'net.core.somaxconn': '1024' }`. */
  readonly sysctls?: Readonly<Record<string, string>>
  /** Which process the kernel ends first when memory runs out: -1000 (never) to 1000 (first). Default 0. */
  readonly oomScoreAdj?: number
  /** Size of /dev/shm: bytes or text such as `128m`. Default 64 MiB. */
  readonly shmSize?: number | string
  /**
   * Limit of what the container may write into its root: bytes or text such as `10g`; `docker run --storage-opt size=`.
   * Needs project quotas on the file system of the data root. Default: no limit.
   */
  readonly storageSize?: number | string
  /** Default: the engine's. */
  readonly log?: { readonly driver: string; readonly options?: Readonly<Record<string, string>> }
  /** Name or number. Default: the image's, else SIGTERM. */
  readonly stopSignal?: string | number
  /** How long `stop` waits before SIGKILL. Default 10 s. */
  readonly stopTimeout?: Duration
  /** Called for every log entry from the first one; armed before the program starts. Not with `detached`. */
  readonly onLog?: (entry: LogEntry) => void
}
