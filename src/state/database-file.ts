import { closeSync, openSync, readSync } from 'node:fs'
import { errnoOf } from '../errors/host-errors.ts'

/** First bytes of every SQLite file. https://sqlite.org/fileformat2.html */
const magic = 'SQLite format 3\0'

/** What a file is, by its first bytes; without opening it as a database, which would wait for locks and write to it. */
export function kindOfFile(path: string): 'missing' | 'empty' | 'database' | 'other' {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'missing'
    throw error
  }
  try {
    const bytes = Buffer.alloc(magic.length)
    const beginning = bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0))
    return beginning === magic ? 'database' : beginning === '' ? 'empty' : 'other'
  } finally {
    closeSync(fd)
  }
}
