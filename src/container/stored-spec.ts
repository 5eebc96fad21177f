import type { Digest } from '../oci/digest.ts'
import type { StoredDevice } from '../runtime/devices.ts'
import type { Resources } from '../runtime/resources.ts'
import type { StoredSecurity } from '../runtime/security.ts'
import type { Ulimits } from '../runtime/ulimits.ts'

/** A mount as recorded: checked and complete. */
export type StoredMount =
  | {
      readonly type: 'bind'
      readonly source: string
      readonly target: string
      readonly readOnly: boolean
      readonly propagation: 'rprivate' | 'private' | 'rslave' | 'slave' | 'rshared' | 'shared'
      readonly recursive: boolean
    }
  | {
      readonly type: 'tmpfs'
      readonly target: string
      readonly readOnly: boolean
      readonly sizeBytes: number | null
      readonly mode: number
    }

/** A container's spec as it was resolved at creation: image defaults merged, every value checked. `update` changes limits. */
export interface StoredSpec {
  readonly image: {
    /** Config digest. */
    readonly id: Digest
    readonly manifest: Digest
    /** What the user called it. */
    readonly name: string
    /** Top of the layer stack; null for an image without layers. */
    readonly chain: Digest | null
  }
  readonly argv: readonly string[]
  readonly entrypointLength: number
  /** `KEY=value`, image's first. */
  readonly env: readonly string[]
  /** `user[:group]`, empty for root. */
  readonly user: string
  /** Names and numbers; absent for none, as all that follow. */
  readonly groups?: readonly string[]
  readonly domainname?: string
  readonly security?: StoredSecurity
  readonly devices?: readonly StoredDevice[]
  readonly deviceRules?: readonly string[]
  readonly sysctls?: Readonly<Record<string, string>>
  readonly oomScoreAdj?: number
  readonly workdir: string
  readonly hostname: string
  readonly labels: Readonly<Record<string, string>>
  readonly stdin: boolean
  readonly autoRemove: boolean
  readonly networks: readonly string[] | 'none' | 'host'
  readonly mounts: readonly StoredMount[]
  readonly readOnlyRoot: boolean
  readonly resources: Resources
  readonly ulimits: Ulimits
  readonly shmBytes: number
  /** Limit of what it may write into its root; absent for none. */
  readonly storageBytes?: number
  readonly log: { readonly driver: string; readonly options: Readonly<Record<string, string>> }
  readonly stopSignal: number
  readonly stopTimeoutMs: number
  readonly exposedPorts: readonly string[]
}
