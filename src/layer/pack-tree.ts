import { closeSync, fstatSync, readdirSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { HardLinks } from './hard-links.ts'
import { openToPack, type TarOutput } from './tar-output.ts'
import { entryOf, statBytes } from './tree-entry.ts'

const slash = 0x2f

/** The path of the root in a tar. */
export const rootName: Buffer = Buffer.from('.')

export function joinBytes(directory: Buffer, name: Buffer): Buffer {
  const joined = Buffer.allocUnsafe(directory.length + 1 + name.length)
  joined.set(directory)
  joined[directory.length] = slash
  joined.set(name, directory.length + 1)
  return joined
}

/** Name in the tar of something in a directory; `null` is the root. */
export const nameIn = (directory: Buffer | null, name: Buffer): Buffer =>
  directory ? joinBytes(directory, name) : Buffer.from(name)

/** Names of a directory in the order of their bytes, which is the same everywhere. */
export const sortedNames = (directory: Buffer): Buffer[] =>
  readdirSync(directory, { encoding: 'buffer' }).sort(Buffer.compare)

/**
 * Writes a whole tree. It may be in use: what vanishes meanwhile is left out. `check` is called before each file, and
 * throws when nothing more is to be read.
 */
export function packTree(root: Buffer, output: TarOutput, check: () => void): void {
  const links = new HardLinks()
  const visit = (path: Buffer, inTar: Buffer) => {
    const facts = statBytes(path)
    const entry = entryOf(inTar, path, facts)
    if (!entry || !output.add(links.resolve(entry, facts), path)) return
    links.met(entry, facts)
    if (entry.type === 'directory') walk(path, path.equals(root) ? null : inTar)
  }
  // Its descriptor tells all of a file, without the way to it for each question.
  const visitFile = (path: Buffer, inTar: Buffer) => {
    const file = openToPack(path)
    if (file === undefined) return
    try {
      const facts = fstatSync(file, { bigint: true })
      const entry = facts.isFile() ? entryOf(inTar, path, facts, undefined, file) : null
      // Something else has taken its place since the directory was read.
      if (!entry) return
      output.addOpened(links.resolve(entry, facts), file)
      links.met(entry, facts)
    } finally {
      closeSync(file)
    }
  }
  const walk = (directory: Buffer, prefix: Buffer | null) => {
    const found = readdirSync(directory, { encoding: 'buffer', withFileTypes: true })
    for (const item of found.sort((a, b) => Buffer.compare(a.name, b.name))) {
      check()
      try {
        const look = item.isFile() ? visitFile : visit
        look(joinBytes(directory, item.name), nameIn(prefix, item.name))
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error
      }
    }
  }
  visit(root, rootName)
}
