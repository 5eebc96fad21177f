import { lstat, readdir } from 'node:fs/promises'
import { fromNodeError } from '../errors/host-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { SnapshotUsage } from './storage-driver.ts'

const slash = Buffer.from('/')

/** What the files below a directory occupy, itself not counted; a file with several names counts once. */
export async function treeUsage(directory: string, call?: CallOptions): Promise<SnapshotUsage> {
  let bytes = 0
  let inodes = 0
  const linked = new Set<string>()
  const waiting: Buffer[] = [Buffer.from(directory)]
  try {
    for (let path = waiting.pop(); path; path = waiting.pop()) {
      throwIfAborted(call, `Measuring ${directory}`)
      const parent = path
      const names = await readdir(parent, { encoding: 'buffer' })
      for (let i = 0; i < names.length; i += 256) {
        const children = names.slice(i, i + 256).map((name) => Buffer.concat([parent, slash, name]))
        const stats = await Promise.all(children.map((child) => lstat(child)))
        for (const [index, stat] of stats.entries()) {
          if (stat.isDirectory()) waiting.push(children[index]!)
          else if (stat.nlink > 1) {
            const key = `${stat.dev}:${stat.ino}`
            if (linked.has(key)) continue
            linked.add(key)
          }
          bytes += stat.blocks * 512
          inodes++
        }
      }
    }
  } catch (error) {
    throw fromNodeError(error, `Measuring ${directory}`)
  }
  return { bytes, inodes }
}
