import type { Digest } from '../oci/digest.ts'
import type { ImageRecord } from './image-record.ts'

/** Bytes of an image's unpacked layers. */
export interface LayerShares {
  readonly unpacked: number
  /** Of layers that other images here have too. */
  readonly shared: number
  /** Of layers that only this image has: what its removal frees of them. */
  readonly unique: number
}

/** One layer upon certain others: what is unpacked once, however many images have it. */
interface Node {
  readonly bytes: number
  readonly images: Set<Digest>
  readonly above: Map<Digest, Node>
}

/** The layers of all images as they stand upon each other, and who has them. */
export class ImageSharing {
  readonly #bases = new Map<Digest, Node>()
  readonly #nodes: Node[] = []

  /** `bytesOf`: what the files of a layer hold, by diff id. */
  constructor(images: readonly ImageRecord[], bytesOf: (diffId: Digest) => number) {
    for (const { id, layers } of images) {
      let level = this.#bases
      for (const { diffId } of layers) {
        let node = level.get(diffId)
        if (!node) {
          node = { bytes: bytesOf(diffId), images: new Set(), above: new Map() }
          level.set(diffId, node)
          this.#nodes.push(node)
        }
        node.images.add(id)
        level = node.above
      }
    }
  }

  /** Of all layers of these images (default: of all), each counted once. */
  total(those?: ReadonlySet<Digest>): number {
    return this.#nodes
      .filter(({ images }) => those === undefined || images.values().some((id) => those.has(id)))
      .reduce((sum, { bytes }) => sum + bytes, 0)
  }

  of({ layers }: ImageRecord): LayerShares {
    let [shared, unique] = [0, 0]
    let level: ReadonlyMap<Digest, Node> = this.#bases
    for (const { diffId } of layers) {
      const node = level.get(diffId)
      if (!node) break
      if (node.images.size > 1) shared += node.bytes
      else unique += node.bytes
      level = node.above
    }
    return { unpacked: shared + unique, shared, unique }
  }
}
