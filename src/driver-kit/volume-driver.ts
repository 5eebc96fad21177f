import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerId } from './ids.ts'

/** A volume as its driver knows it. */
export interface VolumeFacts {
  readonly name: string
  /** Where the data is on the host, when it has a fixed place. */
  readonly mountpoint: string | null
  readonly createdAt: Date
}

/** A volume in use by one container. */
export interface VolumeLease extends AsyncDisposable {
  readonly path: string
}

/** # Volume drivers: keep named trees that outlive containers. */
export interface VolumeDriver extends AsyncDisposable {
  readonly name: string
  /** Idempotent for equal options. */
  create(name: string, options: Readonly<Record<string, string>>, call?: CallOptions): Promise<VolumeFacts>
  /** Fails with `not_found`. */
  get(name: string, call?: CallOptions): Promise<VolumeFacts>
  /** All volumes of this driver. */
  list(call?: CallOptions): AsyncIterable<VolumeFacts>
  /** Fails with `conflict` while leased. */
  remove(name: string, call?: CallOptions): Promise<void>
  /** Takes a volume into use; it cannot be removed until the lease is disposed of. */
  lease(name: string, holder: ContainerId, call?: CallOptions): Promise<VolumeLease>
}
