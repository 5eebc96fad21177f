import { readdirSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'
import { HardLinks } from './hard-links.ts'
import type { TarOutput } from './tar-output.ts'
import { entryOf, statBytes } from './tree-entry.ts'

const slash = Buffer.from('/')

/** The path of the root in a tar. */
export const rootName: Buffer = Buffer.from('.')

export const joinBytes = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, slash, name])

/** Name in the tar of something in a directory; `null` is the root. */
export const nameIn = (directory: Buffer | null, name: Buffer): Buffer =>
  directory ? joinBytes(directory, name) : Buffer.from(name)

/** Names of a directory in the order of their bytes, which is the same everywhere. */
export const sortedNames = (directory: Buffer): Buffer[] =>
  readdirSync(directory, { encoding: 'buffer' }).sort(Buffer.compare)

/** Writes a whole tree. It may be in use: what vanishes meanwhile is left out. */
export function packTree(root: Buffer, output: TarOutput): void {
  const links = new HardLinks()
  const visit = (path: Buffer, inTar: Buffer) => {
    const facts = statBytes(path)
    const entry = entryOf(inTar, path, facts)
    if (!entry) return
    if (!output.add(links.resolve(entry, facts), path)) return
    links.met(entry, facts)
    if (entry.type === 'directory') walk(path, path.equals(root) ? null : inTar)
  }
  const walk = (directory: Buffer, prefix: Buffer | null) => {
    for (const name of sortedNames(directory)) {
      try {
        visit(joinBytes(directory, name), nameIn(prefix, name))
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error
      }
    }
  }
  visit(root, rootName)
}
