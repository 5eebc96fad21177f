import { statfsSync } from 'node:fs'

/** File systems whose files live on another machine. Source: linux/magic.h and the drivers' own headers. */
const networkTypes: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'afs'],
  [0x564c, 'ncp'],
  [0x00c36400, 'ceph'],
  [0x73757245, 'coda'],
  [0x01021997, '9p'],
  [0x0bd00bd0, 'lustre'],
  [0x7461636f, 'ocfs2'],
  [0x01161970, 'gfs2'],
  [0x19830326, 'fhgfs'],
  [0x47504653, 'gpfs'],
])

/** Name of the network file system that holds `path`; `null` for a local one. FUSE counts as local: it often is. */
export function networkFileSystem(path: string): string | null {
  return networkTypes.get(Number(BigInt.asUintN(32, BigInt(statfsSync(path).type)))) ?? null
}
