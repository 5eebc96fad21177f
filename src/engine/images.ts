import type { Readable, Writable } from 'node:stream'
import { parseOptionObject } from '../driver-kit/options.ts'
import type { ImageFilter } from '../image/image-filter.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation, OperationContext } from '../progress/operation.ts'
import { parseReference } from '../reference/reference.ts'
import type { FoundRepository, ImageSearchOptions } from '../registry/search.ts'
import type { ImportOptions } from '../transfer/import-rootfs.ts'
import type { LoadOptions } from '../transfer/load-images.ts'
import type { PullOptions } from '../transfer/pull-image.ts'
import type { PushResult } from '../transfer/push-image.ts'
import type { PushIndexOptions } from '../transfer/push-index.ts'
import type { SaveOptions } from '../transfer/save-images.ts'
import type { TransferServices } from '../transfer/transfer-services.ts'
import { Image, type ImageBackend } from './image.ts'
import { relay } from './relay.ts'
import type { ImagePruneFilter, ImagesPruneReport, RemoveImageOptions, RemoveImageReport } from './removal-reports.ts'

/** Where an archive is read from: a path, an http(s) URL, or any stream of bytes. */
export type ByteSource = string | Readable | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>

/** An image of an index, with what the index is to say of it. */
export interface IndexedImage {
  readonly image: Image | string
  /** `os/architecture[/variant]`. Default: what the image's configuration says. */
  readonly platform?: string | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
}

/** The images of a root. */
export class Images {
  readonly #backend: ImageBackend

  /** @internal */
  constructor(backend: ImageBackend) {
    this.#backend = backend
  }

  /**
   * Loads every image of a `docker save` tarball, an OCI archive or an OCI layout directory; compressed ones too.
   * Either all of them are recorded or nothing stays. From a URL it is fetched by the rules of registries: proxies,
   * certificates, retries.
   *
   * @throws `download.*` and `registry.*` for URLs, `archive.*`, `layer.*`, `content.*`, `image.*`
   */
  load(source: ByteSource, options?: LoadOptions): Operation<readonly Image[]> {
    return this.#operation(options, 'images.load', async (transfer, context) => {
      const { loadImages } = this.#backend
      const records = await relay(
        loadImages(transfer, await this.#bytes(source, context), { ...options, signal: context.signal }),
        context,
      )
      return records.map((record) => this.#handle(record))
    })
  }

  /**
   * Writes images as they are stored, digests kept, or with `compression` their layers packed otherwise; the same images
   * give the same bytes. The target is a path or a stream (`oci-layout`: the path of a new directory).
   *
   * @throws `image.not_found`, `archive.*`, `transfer.unsupported_compression`
   */
  save(images: readonly (Image | string)[], target: string | Writable, options?: SaveOptions): Operation<void> {
    return this.#operation(options, 'images.save', async (transfer, context) => {
      const chosen = images.map((image) => {
        if (typeof image !== 'string') return transfer.images.resolve(image.id)
        const record = transfer.images.resolve(image)
        // By name: that name only. By id: every name it has.
        const name = transfer.images.nameMeant(image, record)
        return name === null ? record : { image: record, names: [name] }
      })
      const { saveImages } = this.#backend
      await relay(saveImages(transfer, chosen, target, { ...options, signal: context.signal }), context)
    })
  }

  /**
   * Makes an image of one layer from a tarball of a root file system, plain or compressed; from a path, a URL or a stream.
   *
   * @throws `download.*` and `registry.*` for URLs, `layer.*`, `reference.*`, `call.bad_option`
   */
  importRootfs(source: ByteSource, options?: ImportOptions): Operation<Image> {
    return this.#operation(options, 'images.importRootfs', async (transfer, context) => {
      const { importRootfs } = this.#backend
      const bytes = await this.#bytes(source, context)
      const given = { message: bytes === source ? undefined : `Imported from ${hostOf(source)}`, ...options }
      return this.#handle(await relay(importRootfs(transfer, bytes, { ...given, signal: context.signal }), context))
    })
  }

  /**
   * Brings an image from its registry or from one of the registry's mirrors. What is here is not fetched again, also what
   * an interrupted pull left; processes that pull the same blob share one download.
   *
   * @throws `registry.*`, `image.no_platform`, `image.not_found` with the policy `never`, `reference.*`, `content.*`,
   * `layer.*`
   */
  pull(reference: string, options?: PullOptions): Operation<Image> {
    return this.#operation(options, 'images.pull', async (transfer, context) => {
      const { pullImage, registries } = this.#backend
      const given = { ...options, signal: context.signal }
      return this.#handle(await relay(pullImage(transfer, registries, reference, given), context))
    })
  }

  /**
   * Sends several images of this root and an OCI index of them under one tag: whoever pulls it gets the one for the
   * machine. Their platforms are those of their configurations unless said otherwise.
   *
   * @throws `registry.*`, `image.not_found`, `call.bad_option` for two images of one platform, `reference.*`
   */
  pushIndex(
    reference: string,
    images: readonly (Image | string | IndexedImage)[],
    options?: PushIndexOptions,
  ): Operation<PushResult> {
    return this.#operation(options, 'images.pushIndex', async (transfer, context) => {
      const entries = images.map((given) => {
        const { image, ...facts } = typeof given === 'string' || given instanceof Image ? { image: given } : given
        return { ...facts, image: transfer.images.resolve(typeof image === 'string' ? image : image.id) }
      })
      const registries = await this.#backend.registries()
      const given = { ...options, signal: context.signal }
      return relay(this.#backend.pushIndex(transfer, registries, entries, reference, given), context)
    })
  }

  /**
   * Tags of a repository at its registry, in the registry's order; the next page is asked for when the loop gets there.
   *
   * @throws `registry.not_found`, `registry.*`, `reference.*`
   */
  async *tags(repository: string, call?: CallOptions): AsyncIterable<string> {
    parseOptionObject('images.tags', call, { signal: (value) => value })
    const registries = await this.#backend.registries()
    const reference = parseReference(this.#backend.images().expand(repository))
    yield* this.#backend.calls.iterate(call, (call) => registries.tags(reference, call))
  }

  /**
   * Repositories of a registry (default Docker Hub) that fit a term: by its search, else by the names in its catalogue.
   *
   * @throws `registry.no_search` when it has neither, `registry.*`, `call.bad_option`
   */
  async *search(term: string, options?: ImageSearchOptions): AsyncIterable<FoundRepository> {
    const { parseSearchOptions } = await import('../registry/search-options.ts')
    const parsed = parseSearchOptions(options)
    const registries = await this.#backend.registries()
    yield* this.#backend.calls.iterate(parsed, (call) => registries.search(term, { ...parsed, ...call }))
  }

  /** By name, id or unique id prefix. @throws `image.not_found`, `image.ambiguous`, `reference.*` */
  async get(reference: string, _call?: CallOptions): Promise<Image> {
    return this.#handle(this.#backend.images().resolve(reference))
  }

  /** Like `get`, null when there is none. */
  async find(reference: string, _call?: CallOptions): Promise<Image | null> {
    const record = this.#backend.images().find(reference)
    return record && this.#handle(record)
  }

  /** Newest first. @throws `call.bad_option`, `image.bad_pattern`, `image.not_found` for `before` and `since` */
  async *list(filter?: ImageFilter, call?: CallOptions): AsyncIterable<Image> {
    for await (const id of this.#backend.verbs().list('images.list', filter, call)) yield new Image(this.#backend, id)
  }

  /**
   * Takes a name away, and the image with its last name, as `docker rmi` does; by id, the image with all its names. What
   * nothing else needs is freed at once.
   *
   * @throws `image.not_found`, `image.in_use`, `image.several_names`, `image.has_children`, `image.ambiguous`
   */
  async remove(nameOrId: string, options?: RemoveImageOptions, call?: CallOptions): Promise<RemoveImageReport> {
    return this.#backend.calls.run(call, () => this.#backend.verbs().remove(nameOrId, options, 'images.remove'))
  }

  /** Takes a name away; the image stays, perhaps dangling. False when there is no such name. @throws `reference.*` */
  async untag(name: string, _call?: CallOptions): Promise<boolean> {
    return this.#backend.verbs().untag(name)
  }

  /**
   * Removes dangling images, or all that no container was made from. A container that is created meanwhile keeps its
   * image.
   */
  async prune(filter?: ImagePruneFilter, call?: CallOptions): Promise<ImagesPruneReport> {
    return this.#backend.calls.run(call, (call) => this.#backend.verbs().prune(filter, call))
  }

  async #bytes(source: ByteSource, { signal }: OperationContext): Promise<ByteSource> {
    if (typeof source !== 'string' || !/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return source
    return (await this.#backend.registries()).download(source, { signal })
  }

  #handle(record: ImageRecord): Image {
    return new Image(this.#backend, record.id)
  }

  #operation<T>(
    call: CallOptions | undefined,
    what: string,
    work: (transfer: TransferServices, context: OperationContext) => Promise<T>,
  ): Operation<T> {
    return this.#backend.calls.operation(async (context) => work(await this.#backend.transfer(), context), call, what)
  }
}

/** Of a URL that was read already. */
const hostOf = (source: ByteSource): string => new URL(String(source)).host
