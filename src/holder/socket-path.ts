import { closeSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/** sun_path holds 108 bytes with the final NUL (unix(7)). */
const longest = 107

/** Calls `use` with a path to the socket that fits into sun_path: through a descriptor of its directory when it must. */
export async function withSocketPath<T>(path: string, use: (path: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= longest) return use(path)
  const directory = openSync(dirname(path), 'r')
  try {
    return await use(`/proc/self/fd/${directory}/${basename(path)}`)
  } finally {
    closeSync(directory)
  }
}
