import { imageErrors } from '../errors/image-errors.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { ImageStore } from '../image/image-store.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import type { Operation } from '../progress/operation.ts'
import type { RunningCalls } from '../progress/running-calls.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { SquashOptions } from '../transfer/commit-options.ts'
import type { importRootfs } from '../transfer/import-rootfs.ts'
import type { loadImages } from '../transfer/load-images.ts'
import type { pullImage } from '../transfer/pull-image.ts'
import type { PushOptions, PushResult, pushImage } from '../transfer/push-image.ts'
import type { pushIndex } from '../transfer/push-index.ts'
import type { saveImages } from '../transfer/save-images.ts'
import type { squashImage } from '../transfer/squash-image.ts'
import type { TransferServices } from '../transfer/transfer-services.ts'
import type { TreeServices } from '../transfer/tree-services.ts'
import type { ImageHistoryEntry } from './image-history.ts'
import type { ImageInspect } from './image-inspect.ts'
import type { ImageVerbs } from './image-verbs.ts'
import { relay } from './relay.ts'
import type { RemoveImageOptions, RemoveImageReport } from './removal-reports.ts'

/** What handles on images reach of their engine. */
export interface ImageBackend {
  readonly calls: RunningCalls
  /** @throws `call.disposed` when the engine was disposed */
  images(): ImageStore
  verbs(): ImageVerbs
  transfer(): Promise<TransferServices>
  registries(): Promise<RegistryClient>
  trees(): Promise<TreeServices>
  // They come with the engine, not with the handles.
  readonly loadImages: typeof loadImages
  readonly saveImages: typeof saveImages
  readonly importRootfs: typeof importRootfs
  readonly pullImage: typeof pullImage
  readonly pushImage: typeof pushImage
  readonly pushIndex: typeof pushIndex
  readonly squashImage: typeof squashImage
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
    return this.#backend.calls.run(call, (call) => this.#backend.verbs().inspect(this.id, call))
  }

  /**
   * How it was built, the oldest step first: the steps that its configuration tells of, each with the layer it made and
   * what the files of that hold. Steps that changed the configuration only have no size.
   *
   * @throws `image.not_found` when it was removed
   */
  async history(call?: CallOptions): Promise<readonly ImageHistoryEntry[]> {
    return this.#backend.calls.run(call, (call) => this.#backend.verbs().history(this.id, call))
  }

  /** Gives it one more name; another image that has it loses it. @throws `reference.*` */
  async tag(reference: string, _call?: CallOptions): Promise<void> {
    const images = this.#backend.images()
    images.tag(images.resolve(this.id), reference)
  }

  /**
   * Sends it to a registry, by one of its names or another one (which it does not get here). Layers that are packed are
   * sent as they are stored, plain ones with gzip unless `compression` says otherwise. What the registry has is not sent.
   * Default: the only name it has.
   *
   * @throws `registry.*`, `transfer.unsupported_compression`, `image.not_found`, `image.no_name`, `image.several_names`, `reference.*`
   */
  push(reference?: string, options?: PushOptions): Operation<PushResult> {
    return this.#backend.calls.operation(
      async (context) => {
        const { pushImage } = this.#backend
        const [services, registries] = await Promise.all([this.#backend.transfer(), this.#backend.registries()])
        const record = services.images.resolve(this.id)
        const name = reference ?? onlyName(record)
        return relay(pushImage(services, registries, record, name, { ...options, signal: context.signal }), context)
      },
      options,
      'image.push',
    )
  }

  /**
   * Makes an image of one layer from all of its layers, or with `from` from those above that image's: what was deleted
   * or replaced in between is not in it. Configuration and history stay, and this image, too.
   *
   * @throws `transfer.not_a_base`, `transfer.unsupported_compression`, `image.not_found`, `reference.*`, `layer.*`
   */
  squash(options?: SquashOptions): Operation<Image> {
    return this.#backend.calls.operation(
      async (context) => {
        const { squashImage } = this.#backend
        const [services, trees] = await Promise.all([this.#backend.transfer(), this.#backend.trees()])
        const record = services.images.resolve(this.id)
        const given = { ...options, signal: context.signal }
        return new Image(this.#backend, (await relay(squashImage(services, trees, record, given), context)).id)
      },
      options,
      'image.squash',
    )
  }

  /**
   * Removes it with all its names, and with it images without a tag that it was made from. What nothing else needs is
   * freed at once.
   *
   * @throws `image.in_use` when containers use it (`force` passes over stopped ones), `image.several_names` without
   * `force`, `image.has_children` when other images were made from it
   */
  async remove(options?: RemoveImageOptions, call?: CallOptions): Promise<RemoveImageReport> {
    return this.#backend.calls.run(call, () => this.#backend.verbs().remove(this.id, options, 'image.remove'))
  }

  /** Takes one of its names away; false when it does not have it. The image stays. @throws `reference.*` */
  async untag(name: string, _call?: CallOptions): Promise<boolean> {
    const images = this.#backend.images()
    return images.find(name)?.id === this.id && images.untag(name)
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
