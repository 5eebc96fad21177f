import type { IngestOptions } from '../content/ingestion.ts'
import type { Lease } from '../content/lease.ts'
import { type EngineError, isEngineError } from '../errors/engine-error.ts'
import { imageErrors } from '../errors/image-errors.ts'
import { parsePlatform, rankPlatforms } from '../image/choose-platform.ts'
import type { ImageLifetime } from '../image/image-owners.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { WorkQueue } from '../lifetime/queue.ts'
import { chainIds } from '../oci/chain-id.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { asImageConfig } from '../oci/documents.ts'
import { hostPlatform, type Platform } from '../oci/platform.ts'
import { type Operation, startOperation } from '../progress/operation.ts'
import type { ProgressSink } from '../progress/progress-event.ts'
import { canonicalName, parseReference, type Reference, withDefaultTag } from '../reference/reference.ts'
import { describeRateLimit } from '../registry/rate-limit.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { RemoteRepository } from '../registry/remote-repository.ts'
import { retrying } from '../registry/retry.ts'
import { allOrAbort } from './all-or-abort.ts'
import { ComingLayer } from './coming-layer.ts'
import type { LayerFile } from './layer-unpacker.ts'
import { resolveManifest } from './resolve-manifest.ts'
import { checkPullOptions, type PullPolicy } from './transfer-options.ts'
import type { TransferServices } from './transfer-services.ts'

export interface PullOptions extends CallOptions {
  /** Which image of a multi-platform index; `os/architecture[/variant]`. Default: this machine's. */
  readonly platform?: string | undefined
  /** `always`: the registry says what the tag means now. `missing`: only when it is not here. Default `always`. */
  readonly policy?: PullPolicy | undefined
  /** `process`: it goes with this process, unless it was here or is needed then. Default `kept`. */
  readonly lifetime?: ImageLifetime | undefined
  /** Not supported: refused with `image.no_signatures`, never ignored. */
  readonly signaturePolicy?: never
}

// As Docker: more would only share the same line.
const parallelBlobs = 3
/**
 * A server that breaks off after each byte is not to be asked for ever. Less than one read of a socket brings: what has
 * come after that may be lost with the connection.
 */
const leastProgress = 16 << 10

type OnGrowth = NonNullable<IngestOptions['onGrowth']>

interface PullContext {
  readonly services: TransferServices
  readonly repository: RemoteRepository
  readonly lease: Lease
  readonly signal: AbortSignal
  readonly report: ProgressSink
  readonly attempts: number
  /** As the user wrote it: without the digest of a lock file. */
  readonly asked: Reference
  readonly lifetime: ImageLifetime | 'unchanged'
}

/**
 * Brings an image from its registry, or from the first of its mirrors that has it. Blobs that are here are not fetched
 * again, and a blob whose fetching was interrupted goes on where it stopped, also after a kill. Durable when it
 * resolves; a failure leaves nothing but blobs and beginnings of them for the next attempt, until garbage is collected.
 *
 * To `run` a container of an image that is here does not alter the image's lifetime.
 *
 * @throws `registry.*`, `image.no_platform`, `image.bad_manifest`, `content.*`, `layer.*`, `call.aborted`
 */
export function pullImage(
  services: TransferServices,
  openRegistries: () => RegistryClient | Promise<RegistryClient>,
  name: string,
  options: PullOptions = {},
  purpose: 'pull' | 'run' = 'pull',
): Operation<ImageRecord> {
  return startOperation(
    async ({ signal, report }) => {
      const { policy: given = 'always', platform: wanted, lifetime: asFor = 'kept' } = checkPullOptions(options)
      const lifetime = purpose === 'run' ? 'unchanged' : asFor
      const lock = services.imageLock
      const platform = wanted === undefined ? hostPlatform() : parsePlatform(wanted)
      const asked = withDefaultTag(parseReference(services.images.expand(name)))
      const locked = lock?.digestOf(asked) ?? null
      const reference = locked ? { ...asked, digest: locked } : asked
      // A tag may move, unless it is pinned; whoever updates pins wants to know what it means now.
      const policy = lock?.mode === 'update' && !asked.digest ? 'always' : given
      const { images } = services
      const present = locked
        ? images.find(canonicalName({ ...reference, tag: null }))
        : policy === 'always'
          ? null
          : // Somebody may have loaded it under the short name itself.
            (images.find(canonicalName(reference)) ?? images.find(name))
      const fits = present && (wanted === undefined || (await runsOn(present, platform, { signal })))
      if (fits && (lifetime === 'unchanged' || images.claim(present.id, lifetime))) {
        report({ type: 'item-done', item: canonicalName(asked), reused: true })
        if (!locked || present.names.includes(canonicalName(asked))) return present
        services.images.tag(present, canonicalName(asked))
        return services.images.resolve(present.id)
      }
      if (policy === 'never')
        throw imageErrors.error('not_found', {
          message: `There is no image "${name}" here, and the policy "never" forbids to pull it.`,
          subject: { type: 'image', id: name },
        })
      const registries = await openRegistries()
      const { image, top } = await fromFirstEndpoint(registries.repositories(reference, 'pull'), report, (repository) =>
        pullFrom(services, repository, reference, platform, {
          signal,
          report,
          attempts: registries.attempts,
          asked,
          lifetime,
        }),
      )
      await lock?.pin(asked, top, { signal })
      return image
    },
    options,
    `Pulling ${name}`,
  )
}

async function runsOn(image: ImageRecord, platform: Platform, call: CallOptions): Promise<boolean> {
  const { mediaType, digest, size } = image.manifest
  return rankPlatforms([{ mediaType, digest, size, platform: await image.config(call) }], platform).length > 0
}

/** Tries mirrors one after the other; what the registry itself says counts. */
async function fromFirstEndpoint<T>(
  repositories: readonly RemoteRepository[],
  report: ProgressSink,
  work: (repository: RemoteRepository) => Promise<T>,
): Promise<T> {
  for (const repository of repositories.slice(0, -1))
    try {
      return await work(repository)
    } catch (error) {
      if (!isEngineError(error) || !isOfSource(error)) throw error
      report({ type: 'message', text: `${repository.endpoint.base.host}: ${error.message} Going on with the next.` })
    }
  return work(repositories.at(-1)!)
}

async function pullFrom(
  services: TransferServices,
  repository: RemoteRepository,
  reference: Reference,
  platform: Platform,
  call: Pick<PullContext, 'signal' | 'report' | 'attempts' | 'asked' | 'lifetime'>,
): Promise<{ readonly image: ImageRecord; readonly top: Digest }> {
  const { content, images } = services
  const { signal, report } = call
  const lease = content.createLease()
  try {
    const context: PullContext = { ...call, services, repository, lease }
    report({ type: 'stage', stage: 'resolve' })
    const { manifest, document, top, rateLimit } = await resolveManifest(repository, reference, platform, { signal })
    if (rateLimit)
      report({ type: 'message', text: `${repository.endpoint.base.host}: ${describeRateLimit(rateLimit)}.` })
    // At once, so that what another pull has brought of them stays although that one fails.
    for (const { digest } of [document.config, ...document.layers]) lease.addBlob(digest)
    await content.ingest([manifest.bytes], { lease, signal, expected: facts(manifest.digest, manifest.bytes.length) })
    report({ type: 'stage', stage: 'fetch' })
    await fetchBlob(document.config, context)
    const config = asImageConfig(await content.readJson(document.config.digest, { signal }), document.config.digest)
    const diffIds = config.rootfs.diff_ids
    if (diffIds.length !== document.layers.length)
      throw imageErrors.error('bad_manifest', {
        message: `The manifest ${manifest.digest} has ${document.layers.length} layers, its configuration ${diffIds.length}. The image was built wrongly.`,
        subject: { type: 'manifest', id: manifest.digest },
      })
    await fetchAndUnpack(document.layers, diffIds, context)
    const mediaType = document.mediaType ?? manifest.mediaType
    const record = { digest: manifest.digest, mediaType, size: manifest.bytes.length }
    const [image] = await images.createAll([{ manifest: record, names: namesOf(call.asked, [top, manifest.digest]) }], {
      lease,
      signal,
      action: 'pull',
      lifetime: call.lifetime,
    })
    lease.release()
    return { image: image!, top }
  } catch (error) {
    // Whole blobs are worth as much as beginnings to the next attempt; bad ones are not worth keeping, and on a full disk
    // the records cannot be changed before there is space again.
    if (isEngineError(error, { kind: 'resource_exhausted' })) content.dropPartials(lease.blobs.map(refOf))
    if (isEngineError(error) && !mayGoOn(error)) content.discard(lease)
    else lease.release()
    throw error
  }
}

const mayGoOn = ({ kind, code }: EngineError): boolean =>
  kind === 'aborted' || (code.startsWith('registry.') && kind !== 'data_loss' && kind !== 'unsupported')

/** Whether another registry with the same image might do better. */
const isOfSource = ({ kind, code }: EngineError): boolean =>
  code.startsWith('registry.') || (kind === 'data_loss' && /^(content|image|layer)\./.test(code))

/** Fetches layers side by side and unpacks each while it comes, as soon as those below it are there. */
async function fetchAndUnpack(
  layers: readonly Descriptor[],
  diffIds: readonly Digest[],
  context: PullContext,
): Promise<void> {
  const queue = new WorkQueue(parallelBlobs)
  const chain = chainIds(diffIds)
  await allOrAbort(context.signal, (signal) => {
    const inner = { ...context, signal }
    const coming = layers.map(
      (layer) => new ComingLayer(layer.size, (onGrowth) => queue.run(() => fetchLayer(layer, inner, onGrowth))),
    )
    const unpacking = context.services.unpacker.unpack(
      coming.map((source, at) => ({ diffId: diffIds[at]!, chainId: chain[at]!, source })),
      { lease: context.lease, signal, report: context.report },
    )
    return [...coming.map(({ whole }) => whole.then(() => {})), unpacking]
  })
}

async function fetchLayer(layer: Descriptor, context: PullContext, onGrowth: OnGrowth): Promise<LayerFile> {
  const length = await fetchBlob(layer, context, onGrowth)
  return { path: context.services.content.fileOf(layer.digest), offset: 0, length }
}

/** Stores a blob that is not here yet; gives its size. */
async function fetchBlob({ digest, size }: Descriptor, context: PullContext, onGrowth?: OnGrowth): Promise<number> {
  const { services, repository, lease, signal, report, attempts } = context
  let best = 0
  let reached = 0
  const blob = await retrying(
    `Fetching ${digest}`,
    () =>
      services.content.ingest(
        async (from) => {
          const { offset, chunks } = await repository.blob(digest, from.offset, { signal })
          if (offset < from.offset) await from.restart()
          return counted(chunks, offset, (bytes) => {
            reached = bytes
          })
        },
        { lease, signal, report, expected: facts(digest, size), ref: refOf(digest), maxSize: size, onGrowth },
      ),
    {
      attempts,
      signal,
      progressed: () => {
        const further = reached >= best + leastProgress
        best = Math.max(best, reached)
        return further
      },
    },
  )
  return blob.size
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  offset: number,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let at = offset
  for await (const chunk of chunks) {
    yield chunk
    at += chunk.length
    tell(at)
  }
}

/**
 * The tag, unless a digest was asked for, and the digests that the repository knows the image by: of the index, and of
 * the manifest, by which an image stays in reach when the index is pulled for another platform.
 */
function namesOf(reference: Reference, digests: readonly Digest[]): string[] {
  const byDigest = digests.map((digest) => canonicalName({ ...reference, tag: null, digest }))
  return reference.digest ? byDigest : [canonicalName(reference), ...byDigest]
}

/** Names the work of fetching a blob, in whatever process and from whatever registry. */
const refOf = (digest: Digest): string => `pull:${digest}`

const facts = (digest: Digest, size: number) => ({ digest, size })
