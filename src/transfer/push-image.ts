import { createReadStream } from 'node:fs'
import { registryErrors } from '../errors/registry-errors.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { WorkQueue } from '../lifetime/queue.ts'
import type { Digest } from '../oci/digest.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import { type Operation, startOperation } from '../progress/operation.ts'
import { canonicalName, parseReference, type Reference, withDefaultTag } from '../reference/reference.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { RemoteRepository } from '../registry/remote-repository.ts'
import { retrying } from '../registry/retry.ts'
import { allOrAbort } from './all-or-abort.ts'
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

/**
 * Sends an image as it is stored: nothing is packed anew, every digest is kept. What the registry has is not sent, and
 * what another of its repositories has is taken over from there.
 *
 * @throws `registry.*`, `content.*`, `call.aborted`
 */
export function pushImage(
  services: TransferServices,
  registries: RegistryClient,
  image: ImageRecord,
  name: string,
  options: CallOptions = {},
): Operation<PushResult> {
  return startOperation(
    async ({ signal, report }) => {
      const reference = withDefaultTag(parseReference(name))
      if (reference.digest !== null || reference.tag === null)
        throw registryErrors.error('refused_request', {
          message: `"${name}" names a digest; an image is pushed to a tag.`,
          subject: { type: 'image', id: name },
        })
      const [repository] = registries.repositories(reference, 'push')
      const { content } = services
      return content.withLease(async (lease) => {
        const manifest = await image.readManifest({ signal })
        const blobs = unique([manifest.config, ...manifest.layers])
        for (const { digest } of [image.manifest, ...blobs]) lease.addBlob(digest)
        report({ type: 'stage', stage: 'send' })
        const queue = new WorkQueue(parallelBlobs)
        await allOrAbort(signal, (inner) =>
          blobs.map((blob) =>
            queue.run(() =>
              sendBlob(services, registries.attempts, repository!, siblings(image, reference), blob, {
                signal: inner,
                report,
              }),
            ),
          ),
        )
        const bytes = await content.readBytes(image.manifest.digest, { maxBytes: image.manifest.size, signal })
        const { mediaType, digest, size } = image.manifest
        await repository!.putManifest(reference.tag!, { bytes, mediaType }, { signal })
        services.journal.append({
          type: 'image',
          action: 'push',
          subject: image.id,
          attributes: { name: canonicalName(reference) },
        })
        return { name: canonicalName(reference), digest, size }
      })
    },
    options,
    `Pushing ${name}`,
  )
}

interface SendOptions {
  readonly signal: AbortSignal
  readonly report: Parameters<Parameters<typeof startOperation>[0]>[0]['report']
}

async function sendBlob(
  { content }: TransferServices,
  attempts: number,
  repository: RemoteRepository,
  siblings: readonly string[],
  { digest, size }: { readonly digest: Digest; readonly size: number },
  { signal, report }: SendOptions,
): Promise<void> {
  if ((await repository.blobSize(digest, { signal })) !== null) {
    report({ type: 'item-done', item: digest, reused: true })
    return
  }
  for (const path of siblings)
    if ((await repository.mount(digest, path, { signal })) === 'mounted') {
      report({ type: 'item-done', item: digest, reused: true })
      return
    }
  await retrying(
    `Sending ${digest}`,
    async () => {
      const location = await repository.startUpload(digest, { signal })
      const meter = new ByteMeter(report, digest, size)
      const file = createReadStream(content.fileOf(digest), { highWaterMark: 1 << 20 })
      file.on('data', (chunk) => meter.add(chunk.length))
      try {
        await repository.sendBlob(location, { digest, size }, file, { signal })
      } finally {
        file.destroy()
      }
      meter.flush()
    },
    { attempts, signal },
  )
  report({ type: 'item-done', item: digest, reused: false })
}

/** Other repositories of the same registry that this image has names in: they may have its blobs. */
function siblings(image: ImageRecord, target: Reference): string[] {
  const paths = image.names
    .map((name) => parseReference(name))
    .filter(({ domain, path }) => domain === target.domain && path !== target.path)
    .map(({ path }) => path)
  return [...new Set(paths)].slice(0, 3)
}

function unique<T extends { readonly digest: Digest }>(blobs: readonly T[]): T[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
}
