import type { TarEntry } from './tar-entry.ts'

interface FileIdentity {
  readonly dev: bigint
  readonly ino: bigint
  readonly nlink: bigint
}

/** Files with several names within one tree: the first one holds the content. */
export class HardLinks {
  readonly #first = new Map<string, Buffer>()

  /** The name the file has been met under before; null for its first. */
  firstName(facts: FileIdentity): Buffer | null {
    return facts.nlink < 2n ? null : (this.#first.get(keyOf(facts)) ?? null)
  }

  /** Remembers a file that has been met. */
  met({ type, path }: TarEntry, facts: FileIdentity): void {
    if (type === 'directory' || facts.nlink < 2n || this.#first.has(keyOf(facts))) return
    this.#first.set(keyOf(facts), path)
  }

  /** The entry as it is to be written: a hard link when the file has been met under another name. */
  resolve(entry: TarEntry, facts: FileIdentity): TarEntry {
    const first = entry.type === 'directory' ? null : this.firstName(facts)
    return first ? { ...entry, type: 'hardlink', link: first, size: 0 } : entry
  }
}

const keyOf = ({ dev, ino }: FileIdentity): string => `${dev}:${ino}`
