import type { LayerFile } from './layer-unpacker.ts'

/** Where the beginning of a layer can be read that is still being fetched. Its bytes are not verified yet. */
export interface LayerBeginning extends LayerFile {
  /** See `GrowingLayerSource`. */
  readonly follow: (tell: (available: number) => void) => () => void
  /** Fires when what was read is worth nothing: the fetch began anew, goes on in another file, or failed. */
  readonly lost: AbortSignal
}

/** A layer that is being fetched. */
export class ComingLayer {
  /** The stored blob. */
  readonly whole: Promise<LayerFile>
  readonly #length: number
  readonly #begun = Promise.withResolvers<LayerFile | LayerBeginning>()
  readonly #lost = new AbortController()
  readonly #listeners = new Set<(available: number) => void>()
  #path: string | null = null
  #available = 0

  /** `fetch` is given what it must tell of its file: `IngestOptions.onGrowth`. `length` is that of the whole, in bytes. */
  constructor(length: number, fetch: (onGrowth: (path: string, bytes: number) => void) => Promise<LayerFile>) {
    this.#length = length
    this.whole = fetch((path, bytes) => this.#grown(path, bytes))
    this.whole.then(
      (file) => {
        this.#begun.resolve(file)
        // Another process may have written the end, and then there was nobody to tell of it.
        this.#tell(length)
      },
      (error: unknown) => {
        this.#lost.abort(error)
        this.#begun.reject(error)
      },
    )
    this.#begun.promise.catch(() => {})
  }

  /** As soon as there is anything to read: the whole when it is here, else the beginning. */
  get beginning(): Promise<LayerFile | LayerBeginning> {
    return this.#begun.promise
  }

  #grown(path: string, bytes: number): void {
    if (this.#path !== null && (path !== this.#path || bytes < this.#available)) this.#lost.abort()
    if (this.#path === null && bytes > 0) {
      this.#path = path
      this.#begun.resolve({
        path,
        offset: 0,
        length: this.#length,
        lost: this.#lost.signal,
        follow: (tell) => {
          this.#listeners.add(tell)
          tell(this.#available)
          return () => this.#listeners.delete(tell)
        },
      })
    }
    this.#tell(bytes)
  }

  #tell(available: number): void {
    this.#available = available
    for (const listener of this.#listeners) listener(available)
  }
}
