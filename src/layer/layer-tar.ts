import { layerErrors } from '../errors/layer-errors.ts'
import type { ChangeVisitor, PresentChange } from './change-visitor.ts'
import { emptyEntry } from './tar-entry.ts'
import type { TarOutput } from './tar-output.ts'
import { opaqueMarker, whiteoutPrefix } from './whiteouts.ts'

const slash = 0x2f

/** Writes changes as an OCI layer. Source: OCI image-spec, layer.md, "Representing Changes". */
export class LayerTar implements ChangeVisitor {
  readonly #output: TarOutput

  constructor(output: TarOutput) {
    this.#output = output
  }

  present({ kind, name, path, entry }: PresentChange): void {
    if (baseName(name).toString('latin1').startsWith(whiteoutPrefix))
      throw layerErrors.error('unsupported_entry', {
        message: `A layer cannot hold ${JSON.stringify(name.toString())}: names that begin with .wh. mark deletions. Rename it.`,
      })
    // What a socket hides must not show.
    if (!entry && kind === 'modified') this.deleted(name, false)
    if (!entry || this.#output.add(entry, path)) return
    throw layerErrors.error('apply_failed', {
      message: `${JSON.stringify(name.toString())} vanished while a layer was made from it: somebody writes to the tree.`,
    })
  }

  deleted(name: Buffer, covered: boolean): void {
    if (covered) return
    const base = baseName(name)
    const directory = name.subarray(0, name.length - base.length)
    this.#marker(Buffer.concat([directory, Buffer.from(whiteoutPrefix), base]))
  }

  opaque(directory: Buffer): void {
    this.#marker(Buffer.concat([directory, Buffer.from(`/${opaqueMarker}`)]))
  }

  #marker(path: Buffer): void {
    this.#output.add({ ...emptyEntry, path }, path)
  }
}

const baseName = (name: Buffer): Buffer => name.subarray(name.lastIndexOf(slash) + 1)
