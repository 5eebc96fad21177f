import type { ContentStore } from '../content/content-store.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { chainIds } from '../oci/chain-id.ts'
import type { Digest } from '../oci/digest.ts'
import { asImageConfig, asManifest } from '../oci/documents.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import type { Manifest } from '../oci/manifest.ts'

/** One layer as stored (`digest`, `size` of the perhaps compressed blob) and as a tar (`diffId`). */
export interface ImageLayer {
  readonly digest: Digest
  readonly diffId: Digest
  /** Bytes as stored. */
  readonly size: number
}

export interface ManifestRecord {
  readonly digest: Digest
  readonly mediaType: string
  /** Bytes. */
  readonly size: number
}

export interface ImageFacts {
  readonly id: Digest
  readonly manifest: ManifestRecord
  readonly manifests: readonly Digest[]
  readonly names: readonly string[]
  readonly layers: readonly ImageLayer[]
  readonly createdAt: Date
  readonly parent: Digest | null
}

/** Whether a name has a tag; one with only a digest does not keep an image from being dangling. */
export const isTagged = (name: string): boolean => !name.includes('@')

/**
 * An image on this root as it was when it was looked up: one manifest, known by its configuration's digest (Docker's
 * image id).
 */
export class ImageRecord implements ImageFacts {
  /** Digest of the configuration. */
  readonly id: Digest
  /** The manifest that was asked for; by id, one that has a name if there is one. */
  readonly manifest: ManifestRecord
  /** All manifests here with this id: one configuration can be packed in several ways. */
  readonly manifests: readonly Digest[]
  /** Canonical names of the id, sorted, of whatever manifest. */
  readonly names: readonly string[]
  /** From the base up. */
  readonly layers: readonly ImageLayer[]
  /** When it came to this root, not when it was built. */
  readonly createdAt: Date
  /** Id of the image it was made from on this root, if that is known. */
  readonly parent: Digest | null
  readonly #content: ContentStore

  constructor(facts: ImageFacts, content: ContentStore) {
    this.id = facts.id
    this.manifest = facts.manifest
    this.manifests = facts.manifests
    this.names = facts.names
    this.layers = facts.layers
    this.createdAt = facts.createdAt
    this.parent = facts.parent
    this.#content = content
  }

  /** Bytes of its manifest and layers as stored. */
  get storedSize(): number {
    return this.layers.reduce((sum, layer) => sum + layer.size, this.manifest.size)
  }

  /** Chain ids from the base up; the last names the tree a container starts from. */
  get chain(): readonly Digest[] {
    return chainIds(this.layers.map((layer) => layer.diffId))
  }

  /** @throws `content.not_found`, `content.digest_mismatch` when the store was damaged */
  async config(call?: CallOptions): Promise<ImageConfig> {
    return asImageConfig(await this.#content.readJson(this.id, { ...call }), this.id)
  }

  /** @throws as `config` */
  async readManifest(call?: CallOptions): Promise<Manifest> {
    return asManifest(await this.#content.readJson(this.manifest.digest, { ...call }), this.manifest.digest)
  }
}
