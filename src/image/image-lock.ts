import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isEngineError } from '../errors/engine-error.ts'
import { imageErrors } from '../errors/image-errors.ts'
import { editUserFile } from '../host/edit-user-file.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { canonicalName, familiarName, parseReference, type Reference, withDefaultTag } from '../reference/reference.ts'
import type { ImageLockMode, ImageLockOptions } from './image-lock-modes.ts'

/**
 * A file of the user's repository that says which digest each tag means, like the lock file of a package manager:
 *
 *     { "version": 1, "images": { "postgres:17": { "digest": "sha256:..." } } }
 *
 * The digest is that of what the tag points at, an index where there is one: it is the same on every machine. The bytes
 * are stable: sorted names, as people write them. Read at each use, so that several processes may share one.
 */
export class ImageLock {
  readonly file: string
  readonly mode: ImageLockMode

  constructor({ file, mode = 'use' }: ImageLockOptions) {
    this.file = resolve(file)
    this.mode = mode
  }

  /**
   * The digest that a name with a tag stands for; null when the tag is to be asked for. A name with a digest is its own.
   *
   * @throws `image.not_locked` in the mode `frozen`, `image.bad_lock`
   */
  digestOf(reference: Reference): Digest | null {
    if (reference.digest !== null || this.mode === 'update') return null
    const digest = this.#read().get(canonicalName(reference))
    if (digest !== undefined) return digest
    if (this.mode === 'use') return null
    const name = familiarName(reference)
    throw imageErrors.error('not_locked', {
      message: `"${name}" is not in ${this.file}, which is frozen. Pull it once with the mode "use", look at the change and commit it.`,
      subject: { type: 'image', id: name },
      details: { file: this.file },
    })
  }

  /** Writes down what a tag means. Nothing is written when the file says so already. */
  async pin(reference: Reference, digest: Digest, call?: CallOptions): Promise<void> {
    if (reference.digest !== null || this.mode === 'frozen') return
    const name = canonicalName(reference)
    if (this.#read().get(name) === digest) return
    try {
      await editUserFile(this.file, () => textOf(this.#read().set(name, digest)), { access: 'shared', ...call })
    } catch (error) {
      if (isEngineError(error) || !(error as NodeJS.ErrnoException).code) throw error
      throw this.#failed('cannot be written', error)
    }
  }

  /** By canonical name. */
  #read(): Map<string, Digest> {
    let text: string
    try {
      text = readFileSync(this.file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
      throw this.#failed('cannot be read', error)
    }
    try {
      return parseLock(JSON.parse(text))
    } catch (error) {
      throw this.#failed('is not an image lock file', error)
    }
  }

  #failed(what: string, cause: unknown) {
    return imageErrors.error('bad_lock', {
      message: `${this.file} ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      subject: { type: 'file', id: this.file },
      cause,
    })
  }
}

function textOf(entries: ReadonlyMap<string, Digest>): string {
  const named = [...entries].map(([name, digest]) => [familiarName(parseReference(name)), { digest }] as const)
  const images = Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ version: 1, images }, null, 2)}\n`
}

function parseLock(document: unknown): Map<string, Digest> {
  const { version, images, ...others } = asObject(document, 'the document')
  if (version !== 1) throw new Error(`it has the version ${JSON.stringify(version)}, and this library knows 1 only.`)
  refuseOthers(others, 'the document')
  const entries = new Map<string, Digest>()
  for (const [name, value] of Object.entries(asObject(images, '"images"'))) {
    const { digest, ...rest } = asObject(value, `"${name}"`)
    refuseOthers(rest, `"${name}"`)
    if (typeof digest !== 'string' || !isDigest(digest)) throw new Error(`the digest of "${name}" is none.`)
    const reference = withDefaultTag(parseReference(name))
    if (reference.digest !== null) throw new Error(`"${name}" has a digest in its name.`)
    const canonical = canonicalName(reference)
    if (entries.has(canonical)) throw new Error(`"${name}" is there twice.`)
    entries.set(canonical, digest)
  }
  return entries
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Error(`${what} is no object.`)
}

function refuseOthers(others: Record<string, unknown>, what: string): void {
  const [key] = Object.keys(others)
  if (key !== undefined) throw new Error(`${what} has an unknown key "${key}".`)
}
