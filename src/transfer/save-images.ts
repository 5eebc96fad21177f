import type { Writable } from 'node:stream'
import { type BundledImage, bundleFiles } from '../archive/bundle.ts'
import type { ArchiveFormat } from '../archive/image-archive.ts'
import { checkTarget } from '../archive/target-stream.ts'
import { writeBundleDirectory, writeBundleTar } from '../archive/write-bundle.ts'
import type { Lease } from '../content/lease.ts'
import { archiveErrors } from '../errors/archive-errors.ts'
import { callErrors } from '../errors/call-errors.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { ByteMeter } from '../progress/byte-meter.ts'
import { type Operation, type OperationContext, startOperation } from '../progress/operation.ts'
import { repackImage, type SentCompression } from './repack-image.ts'
import { checkSaveOptions } from './transfer-options.ts'
import type { TransferServices } from './transfer-services.ts'

export interface SaveOptions extends CallOptions {
  /** Default `docker-archive`. */
  readonly format?: ArchiveFormat | undefined
  /**
   * How layers are packed in the archive: `gzip` and `zstd` pack those anew that are packed otherwise, which gives the
   * manifest another digest, but not the image another id. Default `stored`: as they are.
   */
  readonly compression?: SentCompression | undefined
}

/** An image to save, and the names it has in the archive; by itself it takes all of its names along. */
export type ImageToSave = ImageRecord | { readonly image: ImageRecord; readonly names: readonly string[] }

/**
 * Writes images with all their blobs, by default as they are stored, so that every digest stays. The same images give the
 * same bytes every time. `oci-layout` needs the path of a new directory; the archives also go to a stream, which is ended, or
 * destroyed on failure.
 *
 * @throws `archive.*`, `content.*` when the store is damaged, `transfer.unsupported_compression`, `call.bad_option`,
 * `call.aborted`
 */
export function saveImages(
  services: Pick<TransferServices, 'content' | 'journal'>,
  images: readonly ImageToSave[],
  target: string | Writable,
  options: SaveOptions = {},
): Operation<void> {
  return startOperation(
    async ({ signal, report }) => {
      const { format = 'docker-archive', compression = 'stored' } = checkSaveOptions(options)
      checkTarget('images.save', target)
      checkChoice(format, target, images)
      const { content } = services
      const lease = content.createLease()
      try {
        const bundled = await bundle(services, images, compression, { lease, signal, report })
        const files = bundleFiles(bundled, format)
        const total = files.reduce((sum, file) => sum + ('bytes' in file ? file.bytes.length : file.size), 0)
        const meter = new ByteMeter(report, 'archive', total)
        report({ type: 'stage', stage: 'write' })
        const write = { content, signal, onBytes: (bytes: number) => meter.add(bytes) }
        if (format === 'oci-layout') await writeBundleDirectory(files, target as string, write)
        else await writeBundleTar(files, target, write)
        meter.flush()
      } catch (error) {
        // Whoever reads the other end must not wait for the rest.
        if (typeof target !== 'string') target.destroy()
        throw error
      } finally {
        // What was packed for the archive only goes.
        content.discard(lease)
      }
      for (const id of new Set(images.map((entry) => imageOf(entry).id)))
        services.journal.append({ type: 'image', action: 'save', subject: id })
    },
    options,
    'Saving images',
  )
}

const imageOf = (entry: ImageToSave): ImageRecord => ('image' in entry ? entry.image : entry)

async function bundle(
  services: Pick<TransferServices, 'content'>,
  images: readonly ImageToSave[],
  compression: SentCompression,
  { lease, signal, report }: OperationContext & { readonly lease: Lease },
): Promise<readonly BundledImage[]> {
  const bundled = new Map<Digest, BundledImage>()
  const taken = new Map<string, Digest>()
  for (const entry of images) {
    const image = imageOf(entry)
    const { digest } = image.manifest
    // A removal in the meantime must not take the blobs away while they are read.
    for (const blob of [digest, image.id, ...image.layers.map((layer) => layer.digest)]) lease.addBlob(blob)
    const names = entry.names.filter((name) => !name.includes('@'))
    for (const name of names) {
      const other = taken.get(name)
      if (other !== undefined && other !== digest)
        throw archiveErrors.error('duplicate_name', {
          message: `Two images would both be called ${name} in the archive. Save one of them without that name.`,
          subject: { type: 'reference', id: name },
        })
      taken.set(name, digest)
    }
    const before = bundled.get(digest)
    if (before) {
      bundled.set(digest, { ...before, names: [...before.names, ...names] })
      continue
    }
    const { os, architecture, variant } = await image.config({ signal })
    const { manifest, config, layers } = await repackImage(services, image, compression, { lease, signal, report })
    const platform = { architecture, os, ...(variant ? { variant } : {}) }
    bundled.set(digest, { manifest, platform, config, layers, names })
  }
  return [...bundled.values()]
}

function checkChoice(format: ArchiveFormat, target: string | Writable, images: readonly ImageToSave[]): void {
  const fail = (message: string) => callErrors.error('bad_option', { message })
  if (format === 'oci-layout' && typeof target !== 'string')
    throw fail('An oci-layout is a directory: give its path as the target, not a stream.')
  if (images.length === 0) throw fail('There is no image to save. Name at least one.')
}
