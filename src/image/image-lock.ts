import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { imageErrors } from '../errors/image-errors.ts'
import { lockHandle } from '../host/file-lock.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
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
    // Of the directory: the file itself is replaced, and nothing else is to lie in the user's repository.
    const directory = await open(dirname(this.#target()), 'r').catch((error: unknown) => {
      throw this.#failed('cannot be written', error)
    })
    try {
      for (let pause = 1; !lockHandle(directory); pause = Math.min(25, pause * 2)) {
        throwIfAborted(call, `Waiting for ${this.file}`)
        await sleep(pause)
      }
      this.#write(this.#read().set(name, digest))
    } finally {
      await directory.close()
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

  #write(entries: ReadonlyMap<string, Digest>): void {
    const named = [...entries].map(([name, digest]) => [familiarName(parseReference(name)), { digest }] as const)
    const images = Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)))
    const target = this.#target()
    const draft = `${target}.${randomBytes(4).toString('hex')}.new`
    try {
      const mode = (statSync(target, { throwIfNoEntry: false })?.mode ?? 0o644) & 0o777
      const fd = openSync(draft, 'wx', mode)
      try {
        writeFileSync(fd, `${JSON.stringify({ version: 1, images }, null, 2)}\n`)
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(draft, target)
    } catch (error) {
      rmSync(draft, { force: true })
      throw this.#failed('cannot be written', error)
    }
  }

  /** Where the file really lies: a symbolic link stays one. */
  #target(): string {
    return statSync(this.file, { throwIfNoEntry: false }) ? realpathSync(this.file) : this.file
  }

  #failed(what: string, cause: unknown) {
    return imageErrors.error('bad_lock', {
      message: `${this.file} ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      subject: { type: 'file', id: this.file },
      cause,
    })
  }
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
