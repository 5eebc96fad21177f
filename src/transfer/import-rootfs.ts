import { decompressed } from '../archive/compression.ts'
import { checkSource, type SourceBytes, type StreamSource, sourceBytes } from '../archive/source-bytes.ts'
import type { Lease } from '../content/lease.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { fromNodeError } from '../errors/host-errors.ts'
import { streamFrom } from '../host/path-streams.ts'
import { parsePlatform } from '../image/choose-platform.ts'
import type { ImageLifetime } from '../image/image-owners.ts'
import type { ImageRecord } from '../image/image-record.ts'
import { newName } from '../image/new-name.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import type { Manifest } from '../oci/manifest.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { hostPlatform, type Platform } from '../oci/platform.ts'
import { type Operation, type OperationContext, startOperation } from '../progress/operation.ts'
import { parseLifetime } from './commit-options.ts'
import { applyConfigChanges } from './config-changes.ts'
import type { TransferServices } from './transfer-services.ts'

export interface ImportOptions extends CallOptions {
  /** Name of the new image. Default: none; it is known by its id. */
  readonly reference?: string | undefined
  /** Lines of a Dockerfile that alter the configuration, such as `CMD ["sh"]`, `ENV A=b`. */
  readonly changes?: readonly string[] | undefined
  /** What the history says. Default `Imported from -`. */
  readonly message?: string | undefined
  /** What it is for: `os/architecture[/variant]`. Default: this machine's. */
  readonly platform?: string | Platform | undefined
  /** `process`: it goes with this process, unless it was here or is needed then. Default `kept`. */
  readonly lifetime?: ImageLifetime | undefined
}

/** A path, or any stream of bytes. */
export type RootfsSource = string | StreamSource

/**
 * Makes an image of one layer from a tarball of a root file system; gzip, bzip2, xz and zstd are recognised by content.
 * The layer is kept as a plain tar, so that the same files give the same layer however they were packed.
 *
 * @throws `transfer.bad_change`, `image.digest_name`, `archive.*`, `layer.*`, `content.*`, `reference.*`, `call.*`
 */
export function importRootfs(
  services: TransferServices,
  source: RootfsSource,
  options: ImportOptions = {},
): Operation<ImageRecord> {
  return startOperation(
    (context) => bringIn(services, source, checkOptions(options), context),
    options,
    'Importing a root file system',
  )
}

async function bringIn(
  services: TransferServices,
  source: RootfsSource,
  options: ReturnType<typeof checkOptions>,
  { signal, report }: OperationContext,
): Promise<ImageRecord> {
  const { content, images, unpacker } = services
  checkSource('images.importRootfs', source)
  const run = applyConfigChanges({}, options.changes ?? [])
  const names = options.reference === undefined ? [] : [newName(options.reference)]
  const lease = content.createLease()
  try {
    report({ type: 'stage', stage: 'read' })
    const bytes = bytesOf(source)
    const ingest = { lease, signal, report, item: 'rootfs' }
    const layer = await content.ingest(decompressed(bytes, { signal }), ingest).catch((error: unknown) => {
      bytes.release()
      throw error
    })
    report({ type: 'stage', stage: 'unpack' })
    const file = { path: content.fileOf(layer.digest), offset: 0, length: layer.size }
    const step = { diffId: layer.digest, chainId: layer.digest, source: file }
    await unpacker.unpack([step], { lease, signal, report })
    const created = new Date().toISOString()
    const platform = options.platform ?? hostPlatform()
    const config: ImageConfig = {
      created,
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      config: run,
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
      history: [{ created, comment: options.message ?? 'Imported from -' }],
    }
    const described = await store(services, lease, mediaTypes.ociConfig, config, signal)
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: described,
      layers: [{ mediaType: mediaTypes.ociLayer, digest: layer.digest, size: layer.size }],
    }
    const record = await store(services, lease, mediaTypes.ociManifest, manifest, signal)
    const [image] = await images.createAll([{ manifest: record, names }], {
      lease,
      signal,
      action: 'import',
      lifetime: options.lifetime,
    })
    return image!
  } finally {
    content.discard(lease)
  }
}

async function store(
  { content }: TransferServices,
  lease: Lease,
  mediaType: string,
  document: object,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { digest, size } = await content.ingest([Buffer.from(JSON.stringify(document))], { lease, signal })
  return { mediaType, digest, size }
}

function bytesOf(source: RootfsSource): SourceBytes {
  if (typeof source !== 'string') return sourceBytes(source)
  return sourceBytes(streamFrom(source, { highWaterMark: 1 << 20 }), (error) =>
    fromNodeError(error, `Reading ${source}`),
  )
}

function checkOptions(options: ImportOptions) {
  const bad = (key: string, value: unknown, wanted: string) =>
    callErrors.error('bad_option', {
      message: `The option "${key}" must be ${wanted}, not ${JSON.stringify(value) ?? typeof value}.`,
      subject: { type: 'option', id: key },
    })
  const text = (value: unknown, key: string) => {
    if (typeof value === 'string' && value !== '') return value
    throw bad(key, value, 'a text that is not empty')
  }
  return parseOptionObject('images.importRootfs', options, {
    reference: text,
    message: text,
    changes: (value, key) => {
      if (Array.isArray(value)) return value.map((line) => text(line, key))
      throw bad(key, value, 'a list of texts')
    },
    platform: (value, key) => {
      if (typeof value === 'string' && value !== '') return parsePlatform(value)
      if (typeof value === 'object' && value !== null && 'os' in value && 'architecture' in value)
        return value as Platform
      throw bad(key, value, 'text such as linux/arm64, or an object with os and architecture')
    },
    lifetime: parseLifetime,
    signal: (value) => value as AbortSignal,
  })
}
