import { parseOptionObject } from '../driver-kit/options.ts'
import { imageErrors } from '../errors/image-errors.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { ImageStore, RemoveImageReport } from '../image/image-store.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { HistoryEntry, ImageRunConfig } from '../oci/image-config.ts'
import { type Operation, startOperation } from '../progress/operation.ts'
import { familiarName, parseReference } from '../reference/reference.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { importRootfs } from '../transfer/import-rootfs.ts'
import type { loadImages } from '../transfer/load-images.ts'
import type { pullImage } from '../transfer/pull-image.ts'
import type { PushResult, pushImage } from '../transfer/push-image.ts'
import type { saveImages } from '../transfer/save-images.ts'
import type { TransferServices } from '../transfer/transfer-services.ts'
import { relay } from './relay.ts'

/** What handles on images reach of their engine. */
export interface ImageBackend {
  /** @throws `call.disposed` when the engine was disposed */
  images(): ImageStore
  transfer(): Promise<TransferServices>
  registries(): Promise<RegistryClient>
  // They come with the engine, not with the handles.
  readonly loadImages: typeof loadImages
  readonly saveImages: typeof saveImages
  readonly importRootfs: typeof importRootfs
  readonly pullImage: typeof pullImage
  readonly pushImage: typeof pushImage
}

/** Everything known about an image. */
export interface ImageInspect {
  /** Digest of its configuration. */
  readonly id: Digest
  /** Digest of its manifest. */
  readonly manifest: Digest
  /** As people write them: `busybox:latest`. */
  readonly names: readonly string[]
  readonly architecture: string
  readonly os: string
  readonly variant: string | null
  readonly author: string | null
  /** When it was built, as its configuration says. */
  readonly created: string | null
  /** When it came to this root. */
  readonly loadedAt: Date
  readonly config: ImageRunConfig
  readonly history: readonly HistoryEntry[]
  /** From the base up; `size` is bytes as stored. */
  readonly layers: readonly { readonly digest: Digest; readonly diffId: Digest; readonly size: number }[]
  /** Bytes of all its blobs as stored. */
  readonly storedSize: number
}

/** A handle on an image: its id and verbs. It owns nothing. */
export class Image {
  /** Digest of the configuration, Docker's image id. */
  readonly id: Digest
  readonly #backend: ImageBackend

  /** @internal */
  constructor(backend: ImageBackend, id: Digest) {
    this.#backend = backend
    this.id = id
  }

  /** @throws `image.not_found` when it was removed */
  async inspect(call?: CallOptions): Promise<ImageInspect> {
    const record = this.#backend.images().resolve(this.id)
    const config = await record.config(call)
    return {
      id: record.id,
      manifest: record.manifest.digest,
      names: record.names.map((name) => familiarName(parseReference(name))),
      architecture: config.architecture,
      os: config.os,
      variant: config.variant ?? null,
      author: config.author ?? null,
      created: config.created ?? null,
      loadedAt: record.createdAt,
      config: config.config ?? {},
      history: config.history ?? [],
      layers: record.layers.map(({ digest, diffId, size }) => ({ digest, diffId, size })),
      storedSize: record.storedSize,
    }
  }

  /** How it was built, the oldest step first, as its configuration says. @throws `image.not_found` when it was removed */
  async history(call?: CallOptions): Promise<readonly HistoryEntry[]> {
    return (await this.inspect(call)).history
  }

  /** Gives it one more name; another image that has it loses it. @throws `reference.*` */
  async tag(reference: string, _call?: CallOptions): Promise<void> {
    const images = this.#backend.images()
    images.tag(images.resolve(this.id), reference)
  }

  /**
   * Sends it to a registry as it is stored, by one of its names or another one (which it does not get here). What the
   * registry has is not sent. Default: the only name it has.
   *
   * @throws `registry.*`, `image.not_found`, `image.no_name`, `image.several_names`, `reference.*`
   */
  push(reference?: string, call?: CallOptions): Operation<PushResult> {
    return startOperation(
      async (context) => {
        const { pushImage } = this.#backend
        const [services, registries] = await Promise.all([this.#backend.transfer(), this.#backend.registries()])
        const record = services.images.resolve(this.id)
        const name = reference ?? onlyName(record)
        return relay(pushImage(services, registries, record, name, { signal: context.signal }), context)
      },
      call,
      'image.push',
    )
  }

  /**
   * Removes it with all its names. What only it needed is freed by the next `engine.gc()`.
   *
   * @throws `image.in_use` when containers use it, `image.several_names` without `force`
   */
  async remove(options: { readonly force?: boolean } = {}, _call?: CallOptions): Promise<RemoveImageReport> {
    const { force } = parseOptionObject('image.remove', options, { force: (value) => value === true })
    return this.#backend.images().remove(this.id, { force: force ?? false })
  }
}

function onlyName({ id, names }: ImageRecord): string {
  const tags = names.filter((name) => !name.includes('@'))
  if (tags.length === 1) return tags[0]!
  throw tags.length === 0
    ? imageErrors.error('no_name', {
        message: `Image ${id} has no name with a tag: say what it is to be called in the registry.`,
        subject: { type: 'image', id },
      })
    : imageErrors.error('several_names', {
        message: `Image ${id} has ${tags.length} names (${tags.join(', ')}): say which one is to be pushed.`,
        subject: { type: 'image', id },
        details: { names: tags },
      })
}
