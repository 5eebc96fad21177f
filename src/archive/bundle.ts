import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-types.ts'
import type { Platform } from '../oci/platform.ts'
import { familiarName, parseReference } from '../reference/reference.ts'
import type { ArchiveFormat } from './image-archive.ts'
import { containerdNameAnnotation, refNameAnnotation } from './read-archive.ts'

/** An image that goes into an archive. */
export interface BundledImage {
  readonly manifest: { readonly mediaType: string; readonly digest: Digest; readonly size: number }
  readonly platform: Platform
  readonly config: Descriptor
  /** From the base up, as stored. */
  readonly layers: readonly Descriptor[]
  /** Canonical names with tags. */
  readonly names: readonly string[]
}

/** A file of the archive to be: its bytes, or a blob of the content store. */
export type BundleFile =
  | { readonly path: string; readonly bytes: Uint8Array }
  | { readonly path: string; readonly digest: Digest; readonly size: number }

/**
 * What an archive of these images holds, in order: metadata first, then blobs by digest. The same images and names
 * always give the same files. A docker-archive is an OCI layout with a `manifest.json` on top, as current Docker
 * writes it, so that tools of both kinds load it.
 */
export function bundleFiles(images: readonly BundledImage[], format: ArchiveFormat): BundleFile[] {
  const sorted = images
    .map((image) => ({ ...image, names: [...new Set(image.names)].sort() }))
    .sort((a, b) => compare(a.names[0] ?? '~', b.names[0] ?? '~') || compare(a.manifest.digest, b.manifest.digest))
  const files: BundleFile[] = [
    { path: 'oci-layout', bytes: json({ imageLayoutVersion: '1.0.0' }) },
    { path: 'index.json', bytes: json(indexOf(sorted)) },
  ]
  if (format === 'docker-archive') files.push({ path: 'manifest.json', bytes: json(sorted.map(dockerEntry)) })
  const blobs = new Map<Digest, number>()
  for (const { manifest, config, layers } of sorted)
    for (const { digest, size } of [manifest, config, ...layers]) blobs.set(digest, size)
  const ordered = [...blobs].sort(([a], [b]) => compare(a, b))
  return [...files, ...ordered.map(([digest, size]) => ({ path: blobPath(digest), digest, size }))]
}

/** Directories of the files, parents first. */
export function bundleDirectories(files: readonly BundleFile[]): string[] {
  const directories = new Set<string>()
  for (const { path } of files) {
    const parts = path.split('/').slice(0, -1)
    for (let depth = 1; depth <= parts.length; depth++) directories.add(parts.slice(0, depth).join('/'))
  }
  return [...directories].sort(compare)
}

function indexOf(images: readonly BundledImage[]) {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: images.flatMap(({ manifest, platform, names }) => {
      const { mediaType, digest, size } = manifest
      const bare = { mediaType, digest, size, platform: orderedPlatform(platform) }
      return names.length === 0 ? [bare] : names.map((name) => ({ ...bare, annotations: annotationsOf(name) }))
    }),
  }
}

function annotationsOf(name: string): Record<string, string> {
  const { tag } = parseReference(name)
  return { [containerdNameAnnotation]: name, ...(tag === null ? {} : { [refNameAnnotation]: tag }) }
}

const orderedPlatform = ({ architecture, os, variant }: Platform) => ({
  architecture,
  os,
  ...(variant ? { variant } : {}),
})

const dockerEntry = ({ config, layers, names }: BundledImage) => ({
  Config: blobPath(config.digest),
  RepoTags: names.length === 0 ? null : names.map((name) => familiarName(parseReference(name))),
  Layers: layers.map((layer) => blobPath(layer.digest)),
})

const blobPath = (digest: Digest) => `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/** By code units: a locale must not change an archive. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
