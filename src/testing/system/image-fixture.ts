import { createHash } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { pack } from 'tar-stream'

export interface TarFile {
  readonly name: string
  readonly body?: Uint8Array | string
  readonly type?: 'file' | 'link' | 'symlink' | 'directory' | 'fifo'
  readonly linkname?: string
  readonly mode?: number
}

/** A tar with fixed times and owners. */
export async function tarOf(files: readonly TarFile[]): Promise<Buffer> {
  const packer = pack()
  for (const { name, body = '', type = 'file', linkname, mode } of files) {
    const facts = {
      name,
      type,
      mtime: new Date(0),
      uid: 0,
      gid: 0,
      mode: mode ?? (type === 'directory' ? 0o755 : 0o644),
    }
    const header = linkname === undefined ? facts : { ...facts, linkname }
    if (type === 'file') packer.entry(header, Buffer.from(body))
    else packer.entry(header)
  }
  packer.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of packer) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

export interface FixtureImage {
  /** Uncompressed tars, base first. */
  readonly layers: readonly Buffer[]
  readonly tags: readonly string[]
  readonly env?: readonly string[]
  readonly architecture?: string
  readonly created?: string
  readonly labels?: Readonly<Record<string, string>>
}

export const configOf = ({ layers, env, architecture, created, labels }: FixtureImage): Buffer =>
  Buffer.from(
    JSON.stringify({
      architecture: architecture ?? { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch,
      os: 'linux',
      ...(created ? { created } : {}),
      config: { Env: env ?? ['PATH=/bin'], Cmd: ['/bin/sh'], ...(labels ? { Labels: labels } : {}) },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
      history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'fixture' })),
    }),
  )

/**
 * `docker save` before version 25: a directory per layer with VERSION, json and layer.tar; a layer that several images
 * share is a symbolic link in the later ones.
 */
export async function oldDockerArchive(images: readonly FixtureImage[]): Promise<Buffer> {
  const files: TarFile[] = []
  const manifest: unknown[] = []
  const seen = new Map<string, string>()
  for (const [number, image] of images.entries()) {
    const config = configOf(image)
    const id = sha256(config)
    const layers = image.layers.map((layer, at) => {
      const directory = sha256(`${number}/${at}/${id}`)
      files.push(
        { name: `${directory}/`, type: 'directory' },
        { name: `${directory}/VERSION`, body: '1.0' },
        { name: `${directory}/json`, body: JSON.stringify({ id: directory }) },
      )
      const diffId = sha256(layer)
      const before = seen.get(diffId)
      if (before) files.push({ name: `${directory}/layer.tar`, type: 'symlink', linkname: `../${before}/layer.tar` })
      else files.push({ name: `${directory}/layer.tar`, body: layer })
      if (!before) seen.set(diffId, directory)
      return `${directory}/layer.tar`
    })
    files.push({ name: `${id}.json`, body: config })
    manifest.push({ Config: `${id}.json`, RepoTags: image.tags.length > 0 ? image.tags : null, Layers: layers })
  }
  files.push({ name: 'manifest.json', body: `${JSON.stringify(manifest)}\n` }, { name: 'repositories', body: '{}' })
  return tarOf(files)
}

export type LayerPacking = 'plain' | 'gzip' | 'zstd'

const packings = {
  plain: { pack: (bytes: Buffer) => bytes, suffix: '' },
  gzip: { pack: (bytes: Buffer) => gzipSync(bytes), suffix: '+gzip' },
  zstd: { pack: (bytes: Buffer) => zstdCompressSync(bytes), suffix: '+zstd' },
}

/** The files of an OCI layout with these images; `current` adds what `docker save` since version 25 puts beside. */
export function ociLayoutFiles(
  images: readonly FixtureImage[],
  packing: LayerPacking = 'gzip',
  current = false,
): { files: TarFile[]; manifests: string[] } {
  const blobs = new Map<string, Buffer>()
  const add = (bytes: Buffer) => {
    const digest = sha256(bytes)
    blobs.set(digest, bytes)
    return { digest: `sha256:${digest}`, size: bytes.length }
  }
  const manifests: unknown[] = []
  const digests: string[] = []
  const docker: unknown[] = []
  for (const image of images) {
    const config = add(configOf(image))
    const layers = image.layers.map((layer) => ({
      mediaType: `application/vnd.oci.image.layer.v1.tar${packings[packing].suffix}`,
      ...add(packings[packing].pack(layer)),
    }))
    const manifest = add(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
          layers,
        }),
      ),
    )
    digests.push(manifest.digest)
    const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', ...manifest }
    if (image.tags.length === 0) manifests.push(descriptor)
    for (const tag of image.tags)
      manifests.push({
        ...descriptor,
        annotations: {
          'io.containerd.image.name': `docker.io/library/${tag}`,
          'org.opencontainers.image.ref.name': tag.split(':')[1],
        },
      })
    docker.push({
      Config: `blobs/sha256/${config.digest.slice(7)}`,
      RepoTags: image.tags,
      Layers: layers.map(({ digest }) => `blobs/sha256/${digest.slice(7)}`),
    })
  }
  const files: TarFile[] = [
    { name: 'blobs/', type: 'directory' },
    { name: 'blobs/sha256/', type: 'directory' },
    ...[...blobs].map(([digest, body]) => ({ name: `blobs/sha256/${digest}`, body })),
    { name: 'index.json', body: JSON.stringify({ schemaVersion: 2, manifests }) },
    ...(current ? [{ name: 'manifest.json', body: JSON.stringify(docker) }] : []),
    { name: 'oci-layout', body: '{"imageLayoutVersion": "1.0.0"}' },
  ]
  return { files, manifests: digests }
}
