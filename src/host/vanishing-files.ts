import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

// For /proc and /sys: what is listed may end before it is read. Then it is not there, and that is no error.

/** Names in a directory; none when it is gone. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** The text of a file; empty when it is gone. */
export function textOf(file: string, encoding: 'latin1' | 'utf8' = 'latin1'): string {
  try {
    return readFileSync(file, encoding)
  } catch {
    return ''
  }
}

/** Where a link leads; empty when it is gone. */
export function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
