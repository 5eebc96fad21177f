import { archiveErrors } from '../errors/archive-errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts'
import { asIndex } from '../oci/documents.ts'
import { type ArchiveFile, type ArchiveFiles, readFileJson, requireFile } from './archive-files.ts'
import { checkLimit } from './archive-limits.ts'
import { archivedName, type DockerManifestEntry, parseDockerManifest } from './docker-manifest.ts'
import type { ArchivedImage, ImageArchive } from './image-archive.ts'
import { type ArchiveSource, type OpenArchiveOptions, openFiles } from './open-files.ts'
import { digestOfBlobPath } from './spool-tar.ts'

export interface ReadArchiveOptions extends OpenArchiveOptions {
  /** The repository of images that an OCI layout knows by a bare tag; without it they stay nameless. */
  readonly repository?: string | undefined
}

/** Where containerd, BuildKit and Docker note the whole name; the OCI annotation often holds the tag alone. */
export const containerdNameAnnotation = 'io.containerd.image.name'
/** Source: OCI image-spec, annotations.md. */
export const refNameAnnotation = 'org.opencontainers.image.ref.name'

/**
 * Looks an archive through: `docker save` tarballs of all versions since 1.10, OCI archives and OCI layout directories,
 * plain or compressed as a whole.
 *
 * @throws `archive.not_an_archive` and the other codes of the family
 */
export async function readArchive(source: ArchiveSource, options: ReadArchiveOptions): Promise<ImageArchive> {
  const { files, form } = await openFiles(source, options)
  const manifestFile = await files.find('manifest.json')
  const docker = manifestFile ? await readDockerManifest(manifestFile, options) : null
  // A current `docker save` is both; the index keeps the manifests' digests.
  const indexFile = (await files.find('oci-layout')) ? await files.find('index.json') : null
  if (indexFile) {
    const images = await ociImages(indexFile, options)
    return {
      format: form === 'directory' ? 'oci-layout' : docker ? 'docker-archive' : 'oci-archive',
      files,
      images,
      namesByConfig: namesByConfig(docker ?? []),
    }
  }
  if (!docker) throw await notAnArchive(source, files)
  const images: ArchivedImage[] = []
  for (const entry of docker) images.push(await dockerImage(entry, files))
  return { format: 'docker-archive', files, images, namesByConfig: new Map() }
}

/** The file of a blob in an OCI layout; null when it is not there. */
export const blobFile = (archive: ImageArchive, digest: Digest): Promise<ArchiveFile | null> =>
  archive.files.find(`blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`)

async function readDockerManifest(file: ArchiveFile, options: ReadArchiveOptions): Promise<DockerManifestEntry[]> {
  const { limits, content, signal } = options
  const entries = parseDockerManifest(await readFileJson(file, content, { maxBytes: limits.jsonBytes, signal }))
  checkLimit(limits, 'images', entries.length, 'The number of images in the archive')
  return entries
}

async function dockerImage(entry: DockerManifestEntry, files: ArchiveFiles): Promise<ArchivedImage> {
  const config = await requireFile(files, entry.config, 'which manifest.json names as a configuration')
  const layers: ArchiveFile[] = []
  for (const layer of entry.layers) layers.push(await requireFile(files, layer, 'which manifest.json names as a layer'))
  return { kind: 'parts', config, layers, names: entry.names }
}

async function ociImages(file: ArchiveFile, options: ReadArchiveOptions): Promise<ArchivedImage[]> {
  const { limits, content, signal } = options
  const index = asIndex(await readFileJson(file, content, { maxBytes: limits.jsonBytes, signal }), 'index.json')
  checkLimit(limits, 'images', index.manifests.length, 'The number of images in the archive')
  return index.manifests.map((descriptor) => ({
    kind: 'manifest',
    descriptor,
    names: namesOf(descriptor, options.repository),
  }))
}

function namesOf({ annotations }: Descriptor, repository: string | undefined): string[] {
  const whole = annotations?.[containerdNameAnnotation]
  if (whole) return [archivedName(whole)]
  const ref = annotations?.[refNameAnnotation]
  if (!ref) return []
  // A bare word is a tag, by the specification; Podman and Skopeo put whole names here.
  if (/[/:@]/.test(ref)) return [archivedName(ref)]
  return repository === undefined ? [] : [archivedName(`${repository}:${ref}`)]
}

function namesByConfig(entries: readonly DockerManifestEntry[]): Map<Digest, readonly string[]> {
  const names = new Map<Digest, readonly string[]>()
  for (const entry of entries) {
    const digest = digestOfBlobPath(entry.config)
    if (digest) names.set(digest, [...(names.get(digest) ?? []), ...entry.names])
  }
  return names
}

async function notAnArchive(source: ArchiveSource, files: ArchiveFiles) {
  const what = typeof source === 'string' ? source : 'The stream'
  if (files.mayBeCut)
    return archiveErrors.error('truncated', {
      message: `${what} ends before anything says which images it holds. Make or copy the archive again.`,
      subject: { type: 'archive', id: what },
    })
  const isOld = (await files.find('repositories')) !== null
  const hasRoot = (await files.find('bin/sh')) ?? (await files.find('etc/passwd')) ?? (await files.find('bin/busybox'))
  const why = isOld
    ? 'it was saved by a Docker older than 1.10: save it again with a newer one'
    : hasRoot
      ? 'it looks like a root file system: use importRootfs'
      : 'it has neither manifest.json nor oci-layout and index.json'
  return archiveErrors.error('not_an_archive', {
    message: `${what} is no image archive: ${why}.`,
    subject: { type: 'archive', id: what },
  })
}
