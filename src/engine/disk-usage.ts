import type { ContainerStatus } from '../container/container-record.ts'
import { isRunning } from '../container/state-guards.ts'
import type { ContainerId } from '../driver-kit/ids.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { flag } from '../image/image-filter.ts'
import { ImageSharing, type LayerShares } from '../image/image-sharing.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { SnapshotService } from '../snapshot/snapshot-service.ts'
import { measureLayers } from '../transfer/measure-layers.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'
import { shortNames } from './short-names.ts'

/** How to measure. */
export interface DiskUsageOptions extends CallOptions {
  /** Also asks the disk how much the unpacked layers take there; walks all of them. Default false. */
  readonly blocks?: boolean | undefined
}

/** What one image takes. Bytes. */
export interface ImageUsage {
  readonly id: Digest
  readonly names: readonly string[]
  /** When it came to this root. */
  readonly loadedAt: Date
  /** Of its blobs. */
  readonly storedSize: number
  /** Of the files of its layers. */
  readonly unpackedSize: number
  /** Of the files of layers that other images here have too. */
  readonly sharedSize: number
  /** Of the files of layers that only it has. */
  readonly uniqueSize: number
  /** How many containers were made from it. */
  readonly containers: number
}

/** What one container takes. Bytes. */
export interface ContainerUsage {
  readonly id: ContainerId
  readonly name: string
  readonly image: string
  readonly status: ContainerStatus
  /** What it has written into its root takes on the disk. */
  readonly size: number
}

/** What a root takes on its disk. Bytes; what several images share is counted once. */
export interface DiskUsage {
  readonly images: {
    readonly total: number
    /** Those that containers were made from. */
    readonly active: number
    /** Of all blobs. */
    readonly storedSize: number
    /** Of the files of all layers. */
    readonly unpackedSize: number
    /** What the layers take on the disk; null unless `blocks` was asked for. */
    readonly blocks: number | null
    /** Of blobs and files that only images without containers need: what `images.prune({ all: true })` frees. */
    readonly reclaimable: number
    readonly items: readonly ImageUsage[]
  }
  readonly containers: {
    readonly total: number
    /** Those that run or are paused. */
    readonly active: number
    readonly size: number
    /** Of those that do not run: what `containers.prune()` frees. */
    readonly reclaimable: number
    readonly items: readonly ContainerUsage[]
  }
}

/** @throws `call.bad_option`, `call.aborted` */
export async function readDiskUsage(parts: Parts, options?: DiskUsageOptions): Promise<DiskUsage> {
  const { blocks, signal } = parseOptionObject('engine.diskUsage', options, {
    blocks: flag,
    signal: (value) => {
      if (value instanceof AbortSignal) return value
      throw callErrors.error('bad_option', {
        message: 'The option "signal" of engine.diskUsage must be an AbortSignal.',
      })
    },
  })
  const call = { signal }
  return { images: await imagesUsage(parts, blocks ?? false, call), containers: await containersUsage(parts, call) }
}

async function imagesUsage(parts: Parts, blocks: boolean, call: CallOptions): Promise<DiskUsage['images']> {
  const t = coreTokens
  const [images, content, storage] = [parts.get(t.images), parts.get(t.content), await parts.get(t.storage)]
  const { records: containers } = await parts.get(t.containerServices)
  const records = images.list()
  const known = images.sizes.all()
  const unknown = records.flatMap(({ layers }) => layers).filter(({ diffId }) => !known.has(diffId))
  const measured = await measureLayers({ content, sizes: images.sizes }, unknown, call)
  const sharing = new ImageSharing(records, (diffId) => known.get(diffId) ?? measured.get(diffId) ?? 0)
  const users = new Map(records.map(({ id }) => [id, containers.usersOf(id).length]))
  const active = new Set(records.filter(({ id }) => users.get(id)! > 0).map(({ id }) => id))
  const unpackedSize = sharing.total()
  const storedSize = images.blobBytes()
  return {
    total: records.length,
    active: active.size,
    storedSize,
    unpackedSize,
    blocks: blocks ? await blocksOf(storage, new Set(records.flatMap(({ chain }) => chain)), call) : null,
    reclaimable: unpackedSize - sharing.total(active) + storedSize - images.blobBytes(active),
    items: records.map((record) => {
      const shares: LayerShares = sharing.of(record)
      return {
        id: record.id,
        names: shortNames(record.names).all,
        loadedAt: record.createdAt,
        storedSize: record.storedSize,
        unpackedSize: shares.unpacked,
        sharedSize: shares.shared,
        uniqueSize: shares.unique,
        containers: users.get(record.id)!,
      }
    }),
  }
}

async function containersUsage(parts: Parts, call: CallOptions): Promise<DiskUsage['containers']> {
  const [storage, { records }] = await Promise.all([
    parts.get(coreTokens.storage),
    parts.get(coreTokens.containerServices),
  ])
  const items: ContainerUsage[] = []
  let [size, reclaimable, active] = [0, 0, 0]
  for (const record of records.all()) {
    if (record.status === 'creating' || record.status === 'removing') continue
    throwIfAborted(call, 'engine.diskUsage')
    const bytes = await usageIfThere(storage, record.id, call)
    size += bytes
    if (isRunning(record)) active++
    else reclaimable += bytes
    const { id, name, status } = record
    items.push({ id, name, status, image: record.spec.image.name, size: bytes })
  }
  return { total: items.length, active, size, reclaimable, items }
}

/** What a tree takes on the disk by itself; 0 when it is gone or goes while it is measured. */
export async function usageIfThere(storage: SnapshotService, id: string, call?: CallOptions): Promise<number> {
  try {
    return (await storage.usage(id, call)).bytes
  } catch (error) {
    if (isEngineError(error, { kind: 'not_found' })) return 0
    throw error
  }
}

async function blocksOf(storage: SnapshotService, chains: ReadonlySet<string>, call: CallOptions): Promise<number> {
  let bytes = 0
  for (const id of chains) bytes += await usageIfThere(storage, id, call)
  return bytes
}
