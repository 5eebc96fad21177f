import { imageErrors } from '../errors/image-errors.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { choosePlatform } from '../image/choose-platform.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { asIndex, asManifest } from '../oci/documents.ts'
import type { Manifest } from '../oci/manifest.ts'
import { isIndexType, mediaTypes } from '../oci/media-types.ts'
import type { Platform } from '../oci/platform.ts'
import { whyNotRunnable } from '../oci/runnable.ts'
import { canonicalName, type Reference } from '../reference/reference.ts'
import type { RateLimit } from '../registry/rate-limit.ts'
import type { RemoteManifest, RemoteRepository } from '../registry/remote-repository.ts'

const deepestIndex = 3
/** Bytes; as registries have it. */
const mostManifestBytes = 4 << 20
const mostConfigBytes = 4 << 20

export interface ResolvedManifest {
  readonly manifest: RemoteManifest
  readonly document: Manifest
  /** Digest of what the name stands for: of the index, where there is one. */
  readonly top: Digest
  /** As the last answer said it. */
  readonly rateLimit: RateLimit | null
}

/**
 * Goes down from a tag or digest, through indexes, to the manifest for the platform. What a descriptor says of a document
 * must be true of it.
 *
 * @throws `registry.bad_answer`, `registry.too_large`, `registry.unsupported_manifest`, `image.no_platform`,
 *   `image.bad_manifest`, `image.schema1`
 */
export async function resolveManifest(
  repository: RemoteRepository,
  reference: Reference,
  platform: Platform,
  call: CallOptions,
): Promise<ResolvedManifest> {
  const name = canonicalName(reference)
  let wanted: string = reference.digest ?? reference.tag ?? 'latest'
  let announced: Descriptor | null = null
  let rateLimit: RateLimit | null = null
  let top: Digest | null = null
  for (let depth = 0; depth <= deepestIndex; depth++) {
    const manifest = await repository.manifest(wanted, call)
    rateLimit = manifest.rateLimit ?? rateLimit
    top ??= manifest.digest
    if (announced && announced.size !== manifest.bytes.length)
      throw bad(
        name,
        `the manifest ${announced.digest} has ${manifest.bytes.length} bytes, and its index says ${announced.size}`,
      )
    const json = parse(manifest, name)
    if (!isIndex(manifest, json, name)) {
      const document = asManifest(json, manifest.digest)
      checkRunnable(document, manifest, name)
      return { manifest, document, top, rateLimit }
    }
    announced = choosePlatform(asIndex(json, manifest.digest).manifests, platform)
    wanted = announced.digest
    if (announced.size > mostManifestBytes) throw tooLarge(name, 'manifest', announced.size, mostManifestBytes)
  }
  throw bad(name, `it is an index of indexes, more than ${deepestIndex} deep`)
}

const knownTypes: readonly string[] = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerIndex,
  mediaTypes.dockerManifest,
]

/**
 * A document that could be read as both is refused, as is one that the registry calls something else than it does itself:
 * two readers would see two images. Source: OCI distribution-spec 1.0.1, CVE-2021-41190.
 */
function isIndex(manifest: RemoteManifest, json: unknown, name: string): boolean {
  const keys = typeof json === 'object' && json !== null ? Object.keys(json) : []
  const looksLikeIndex = keys.includes('manifests')
  if (looksLikeIndex && (keys.includes('layers') || keys.includes('config')))
    throw bad(name, `${manifest.digest} is an index and a manifest at once`)
  const own: unknown = (json as { readonly mediaType?: unknown } | null)?.mediaType
  if (typeof own === 'string' && knownTypes.includes(manifest.mediaType) && own !== manifest.mediaType)
    throw bad(name, `${manifest.digest} was sent as ${manifest.mediaType} and says of itself that it is ${own}`)
  const type = typeof own === 'string' ? own : manifest.mediaType
  if (knownTypes.includes(type) && isIndexType(type) !== looksLikeIndex)
    throw bad(name, `${manifest.digest} was sent as ${type} and has not the form of one`)
  return looksLikeIndex
}

/** Refuses what is no image for a container before anything of it is fetched. */
function checkRunnable(document: Manifest, { digest }: RemoteManifest, name: string): void {
  const problem = whyNotRunnable(document)
  if (problem !== null)
    throw registryErrors.error('unsupported_manifest', {
      message: `${name} (${digest}) ${problem}. ${registryErrors.codes.unsupported_manifest.help}`,
      subject: { type: 'image', id: name },
      details: { digest },
    })
  const { size } = document.config
  if (size > mostConfigBytes) throw tooLarge(name, 'configuration', size, mostConfigBytes)
}

function parse({ bytes, digest, mediaType }: RemoteManifest, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw imageErrors.error('bad_manifest', {
      message: `The manifest ${digest} of ${name} is not JSON (it was sent as ${mediaType || 'nothing in particular'}).`,
      subject: { type: 'manifest', id: digest },
      cause: error,
    })
  }
}

const tooLarge = (name: string, what: string, size: number, limit: number) =>
  registryErrors.error('too_large', {
    message: `The ${what} of ${name} has ${size} bytes; ${limit} are the most for one.`,
    subject: { type: 'image', id: name },
    details: { size, maxBytes: limit },
  })

const bad = (name: string, problem: string) =>
  registryErrors.error('bad_answer', {
    message: `${name} cannot be trusted: ${problem}.`,
    subject: { type: 'image', id: name },
  })
