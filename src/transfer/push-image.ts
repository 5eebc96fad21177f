import { createReadStream } from 'node:fs'
import { isEngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import type { ImageRecord, ManifestRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { WorkQueue } from '../lifetime/queue.ts'
import type { Digest } from '../oci/digest.ts'
import { type Operation, startOperation } from '../progress/operation.ts'
import { canonicalName, parseReference, type Reference, withDefaultTag } from '../reference/reference.ts'
import type { Upload } from '../registry/blob-uploads.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { RemoteRepository } from '../registry/remote-repository.ts'
import { sendBlob } from '../registry/send-blob.ts'
import { allOrAbort } from './all-or-abort.ts'
import { checkPushOptions } from './commit-options.ts'
import { repackImage, type SentCompression } from './repack-image.ts'
import type { TransferServices } from './transfer-services.ts'

/** What a push has made. */
export interface PushResult {
  /** Canonical name with the tag it has there now. */
  readonly name: string
  /** Of the manifest: what `name@digest` pulls. */
  readonly digest: Digest
  /** Bytes of the manifest. */
  readonly size: number
}

const parallelBlobs = 3

/** How to push. */
export interface PushOptions extends CallOptions {
  /**
   * How layers are packed: `stored` sends them as they are, `gzip` and `zstd` pack those anew that are packed otherwise.
   * Default: plain layers, such as those of a commit, are packed with gzip; the others are sent as they are.
   */
  readonly compression?: SentCompression | undefined
}

/**
 * Sends an image. Layers that are packed are sent as they are stored, every digest kept; plain ones are packed on all
 * processors, and kept like that beside the plain ones when the image has a name in the repository. What the registry has
 * is not sent, and what another of its repositories has is taken over from there.
 *
 * @throws `registry.*`, `content.*`, `transfer.unsupported_compression`, `call.*`
 */
export function pushImage(
  services: TransferServices,
  registries: RegistryClient,
  image: ImageRecord,
  name: string,
  options: PushOptions = {},
): Operation<PushResult> {
  return startOperation(
    async ({ signal, report }) => {
      const { compression } = checkPushOptions(options)
      const reference = tagToPush(services.images.expand(name))
      const [repository] = registries.repositories(reference, 'push')
      const { digest, size } = await sendImage(services, repository!, image, {
        reference,
        compression,
        tag: reference.tag,
        signal,
        report,
      })
      services.journal.append({
        type: 'image',
        action: 'push',
        subject: image.id,
        attributes: { name: canonicalName(reference) },
      })
      return { name: canonicalName(reference), digest, size }
    },
    options,
    `Pushing ${name}`,
  )
}

/** @throws `registry.refused_request` for names with a digest */
export function tagToPush(name: string): Reference & { readonly tag: string } {
  const reference = withDefaultTag(parseReference(name))
  if (reference.digest === null && reference.tag !== null) return { ...reference, tag: reference.tag }
  throw registryErrors.error('refused_request', {
    message: `"${name}" names a digest; an image is pushed to a tag.`,
    subject: { type: 'image', id: name },
  })
}

export interface SendImageOptions extends SendOptions {
  readonly reference: Reference
  readonly compression: SentCompression | undefined
  /** Null: it is known there by its digest. */
  readonly tag: string | null
}

/** Sends blobs and manifest of one image; gives what its manifest is there. */
export async function sendImage(
  services: TransferServices,
  repository: RemoteRepository,
  image: ImageRecord,
  { reference, compression, tag, signal, report }: SendImageOptions,
): Promise<ManifestRecord> {
  const { content } = services
  const lease = content.createLease()
  try {
    const packed = await repackImage(services, image, compression, { lease, signal, report })
    const blobs = unique([packed.config, ...packed.layers])
    report({ type: 'stage', stage: 'send' })
    const queue = new WorkQueue(parallelBlobs)
    const images = services.images.list()
    await allOrAbort(signal, (inner) =>
      blobs.map((blob) =>
        queue.run(() => {
          const lenders = lendersOf(blob.digest, images, reference, repository.endpoint.prefix)
          return bringBlob(services, repository, lenders, blob, { signal: inner, report })
        }),
      ),
    )
    const { mediaType, digest, size } = packed.manifest
    const bytes = await content.readBytes(digest, { maxBytes: size, signal })
    await repository.putManifest(tag ?? digest, { bytes, mediaType }, { signal })
    if (packed.isNew && image.names.some((known) => isTagIn(known, reference)))
      await services.images.createAll([{ manifest: packed.manifest, names: [digestName(reference, digest)] }], {
        lease,
        signal,
        lifetime: 'unchanged',
      })
    return packed.manifest
  } finally {
    content.discard(lease)
  }
}

/** What was pushed is known by its digest, too. */
const digestName = (reference: Reference, digest: Digest): string => canonicalName({ ...reference, tag: null, digest })

function isTagIn(name: string, target: Reference): boolean {
  const { domain, path, tag } = parseReference(name)
  return tag !== null && domain === target.domain && path === target.path
}

interface SendOptions {
  readonly signal: AbortSignal
  readonly report: Parameters<Parameters<typeof startOperation>[0]>[0]['report']
}

async function bringBlob(
  { content }: TransferServices,
  repository: RemoteRepository,
  lenders: readonly string[],
  { digest, size }: { readonly digest: Digest; readonly size: number },
  { signal, report }: SendOptions,
): Promise<void> {
  if ((await repository.blobSize(digest, { signal })) !== null) {
    report({ type: 'item-done', item: digest, reused: true })
    return
  }
  let upload: Upload | null = null
  for (const path of lenders) {
    if (upload) break
    const answer = await borrow(repository, digest, path, { signal })
    if (answer === 'mounted') {
      report({ type: 'item-done', item: digest, reused: true })
      return
    }
    upload = answer
  }
  let told = 0
  await sendBlob(
    repository,
    {
      digest,
      size,
      open: (start, length) =>
        createReadStream(content.fileOf(digest), { start, end: start + length - 1, highWaterMark: 1 << 20 }),
    },
    {
      signal,
      upload,
      onBytes: (done) => {
        if (Math.abs(done - told) < 1 << 20 && done !== size) return
        told = done
        report({ type: 'bytes', item: digest, done, total: size })
      },
    },
  )
  report({ type: 'item-done', item: digest, reused: false })
}

/** Null: whoever asks may not read there, so the blob is sent. */
async function borrow(
  repository: RemoteRepository,
  digest: Digest,
  path: string,
  call: CallOptions,
): Promise<'mounted' | Upload | null> {
  try {
    return await repository.uploads.mount(digest, path, call)
  } catch (error) {
    const isRefusal = ['unauthenticated', 'permission_denied', 'not_found', 'invalid_argument'] as const
    if (isRefusal.some((kind) => isEngineError(error, { kind }))) return null
    throw error
  }
}

/** Other repositories of the same registry that an image with this blob has a name in: they may have it. */
function lendersOf(digest: Digest, images: readonly ImageRecord[], target: Reference, prefix: string): string[] {
  const paths = images
    .filter(({ id, layers }) => id === digest || layers.some((layer) => layer.digest === digest))
    .flatMap(({ names }) => names.map((name) => parseReference(name)))
    .filter(({ domain, path }) => domain === target.domain && path !== target.path)
    .map(({ path }) => `${prefix}${path}`)
  return [...new Set(paths)].slice(0, 3)
}

function unique<T extends { readonly digest: Digest }>(blobs: readonly T[]): T[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
}
