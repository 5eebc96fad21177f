import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { parseReference } from '../../reference/reference.ts'
import { openRegistries } from '../../registry/open-registries.ts'
import { sendBlob } from '../../registry/send-blob.ts'
import { configOf, type FixtureImage, sha256, tarOf } from './image-fixture.ts'

export interface PublishedImage {
  readonly reference: string
  readonly manifest: Digest
  /** The image's id. */
  readonly config: Digest
  readonly layers: readonly { readonly digest: Digest; readonly diffId: Digest; readonly size: number }[]
  /** Bytes of its configuration and layers. */
  readonly blobBytes: number
}

/** Puts an image with gzip layers into a registry. */
export async function publishImage(
  host: string,
  name: string,
  layers: readonly Buffer[],
  facts: Partial<FixtureImage> = {},
): Promise<PublishedImage> {
  const reference = parseReference(`${host}/${name}`)
  using client = openRegistries({
    config: { dockerConfig: null },
    offline: false,
    run: () => Promise.reject(new Error('no helper is to be run')),
    env: {},
  })
  const repository = client.repositories(reference, 'push').at(-1)!
  const config = configOf({ layers, tags: [], ...facts })
  const packed = layers.map((layer) => gzipSync(layer, { level: 1 }))
  for (const bytes of [config, ...packed]) {
    const blob = { digest: digestOf(bytes), size: bytes.length }
    const open = () => Readable.from([bytes], { objectMode: false })
    await sendBlob(repository, { ...blob, open }, {})
  }
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length })
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: describe(mediaTypes.ociConfig, config),
    layers: packed.map((bytes) => describe(mediaTypes.ociLayerGzip, bytes)),
  }
  const manifest = Buffer.from(JSON.stringify(document))
  await repository.putManifest(reference.tag ?? 'latest', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  return {
    reference: `${host}/${name}`,
    manifest: digestOf(manifest),
    config: digestOf(config),
    layers: packed.map((bytes, at) => ({ digest: digestOf(bytes), diffId: digestOf(layers[at]!), size: bytes.length })),
    blobBytes: [config, ...packed].reduce((sum, bytes) => sum + bytes.length, 0),
  }
}

/** How many bytes of its blobs lie in a root, whole or partial: what no later pull has to fetch. */
export function storedBytes(root: string, { config, layers }: PublishedImage): number {
  const sizeOf = (...path: string[]) => statSync(join(root, 'content', ...path), { throwIfNoEntry: false })?.size ?? 0
  return [config, ...layers.map(({ digest }) => digest)]
    .map((digest) => sizeOf('blobs/sha256', digest.slice(7)) || sizeOf('ingest', `partial.${sha256(`pull:${digest}`)}`))
    .reduce((sum, size) => sum + size, 0)
}

/** A layer in which `/bin/sh` and a few other programs run. */
export async function busyboxLayer(): Promise<Buffer> {
  const program = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))
  if (!program) throw new Error('no busybox on this machine: apt-get install busybox-static')
  const applets = ['sh', 'cat', 'echo', 'sha256sum', 'ls', 'true']
  const listed = execFileSync(program, ['--list'], { encoding: 'utf8' }).split('\n')
  if (!applets.every((applet) => listed.includes(applet))) throw new Error(`${program} lacks applets of the tests`)
  return tarOf([
    ...['bin', 'dev', 'proc', 'sys', 'tmp', 'data'].map((name) => ({ name: `${name}/`, type: 'directory' as const })),
    { name: 'bin/busybox', body: readFileSync(realpathSync(program)), mode: 0o755 },
    ...applets.map((applet) => ({ name: `bin/${applet}`, type: 'symlink' as const, linkname: 'busybox' })),
  ])
}
