import { mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts'

/** The directory of the store: an OCI image layout, and `ingest/` for what is not whole yet. */
export class ContentLayout {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  get ingest(): string {
    return join(this.directory, 'ingest')
  }

  get index(): string {
    return join(this.directory, 'index.json')
  }

  blobs(algorithm: 'sha256' | 'sha512'): string {
    return join(this.directory, 'blobs', algorithm)
  }

  blob(digest: Digest): string {
    return join(this.blobs(digestAlgorithm(digest)), digestHex(digest))
  }

  /** The digest a file of `blobs/<algorithm>` stands for; null for strangers. */
  digestOfFile(algorithm: string, name: string): Digest | null {
    const digest = `${algorithm}:${name}`
    return isDigest(digest) ? digest : null
  }

  /** Makes what is missing. Cheap when all is there. */
  prepare(): void {
    for (const directory of [this.blobs('sha256'), this.blobs('sha512'), this.ingest])
      mkdirSync(directory, { recursive: true, mode: 0o700 })
    // What it says from then on is the image store's (src/image/image-index.ts).
    this.#seed('index.json', '{"schemaVersion":2,"manifests":[]}')
    this.#seed('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
  }

  #seed(name: string, text: string): void {
    const file = join(this.directory, name)
    if (statSync(file, { throwIfNoEntry: false })) return
    const draft = join(this.ingest, `${name}.${process.pid}`)
    writeFileSync(draft, text, { mode: 0o600 })
    renameSync(draft, file)
  }
}
