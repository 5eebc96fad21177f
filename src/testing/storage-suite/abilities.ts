import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DriverHost } from '../../driver-kit/driver-host.ts'
import { errnoOf } from '../../errors/host-errors.ts'

/** What the kernel allows this process whatever the driver: in a user namespace it makes no devices, for example. */
export interface Abilities {
  /** mknod(2) of devices. */
  readonly devices: boolean
  /** Attributes `trusted.*`. */
  readonly trustedXattrs: boolean
  /** The largest owner that files can be given; 2^32-2 outside of user namespaces. */
  readonly largestId: number
}

/** Tries it in a directory. */
export async function findAbilities(host: DriverHost, directory: string): Promise<Abilities> {
  const trial = mkdtempSync(join(directory, 'abilities-'))
  try {
    const device = await host.run('mknod', [join(trial, 'null'), 'c', '1', '3'], { accept: [0, 1] })
    const file = join(trial, 'file')
    writeFileSync(file, '')
    return {
      devices: device.exitCode === 0,
      trustedXattrs: setTrusted(host, file),
      largestId: Math.min(largestIn('/proc/self/uid_map'), largestIn('/proc/self/gid_map')),
    }
  } finally {
    rmSync(trial, { recursive: true })
  }
}

function setTrusted(host: DriverHost, file: string): boolean {
  try {
    host.xattrs.set(file, 'trusted.tried', Buffer.from('x'))
    return true
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error
    return false
  }
}

/** Source: user_namespaces(7): lines of first id inside, first id outside, count. */
function largestIn(map: string): number {
  const rows = readFileSync(map, 'utf8').trim().split('\n')
  return Math.max(
    ...rows.map((row) => {
      const [inside = 0, , count = 0] = row.trim().split(/\s+/).map(Number)
      return inside + count - 1
    }),
  )
}
