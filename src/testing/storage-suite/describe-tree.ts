import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Xattrs } from '../../host/xattr.ts'

/**
 * A tree as text, one line per file: equal lines mean equal trees. Names are given as latin1, a byte a character.
 * `exact`: with times to the nanosecond, those of directories too (else to the second), and with whether large files
 * have holes.
 */
export function describeTree(
  root: string,
  xattrs: Xattrs,
  { exact = false }: { readonly exact?: boolean } = {},
): ReadonlyMap<string, string> {
  const lines = new Map<string, string>()
  const links = new Map<number, string>()
  const visit = (path: Buffer, name: string) => {
    const stat = lstatSync(path)
    const parts = [
      (stat.mode >>> 0).toString(8),
      `${stat.uid}:${stat.gid}`,
      exact
        ? String(lstatSync(path, { bigint: true }).mtimeNs)
        : stat.isDirectory()
          ? ''
          : String(Math.floor(stat.mtimeMs / 1000)),
    ]
    if (stat.isFile()) parts.push(String(stat.size), createHash('sha1').update(readFileSync(path)).digest('hex'))
    if (exact && stat.isFile() && stat.size > 1 << 20) parts.push(stat.blocks * 512 < stat.size / 2 ? 'holes' : 'full')
    if (stat.isSymbolicLink()) parts.push(readlinkSync(path, { encoding: 'latin1' }))
    if (stat.isCharacterDevice() || stat.isBlockDevice()) parts.push(`dev ${stat.rdev}`)
    if (stat.nlink > 1 && !stat.isDirectory()) {
      const first = links.get(stat.ino)
      if (first === undefined) links.set(stat.ino, name)
      else parts.push(`link to ${first}`)
    }
    for (const attribute of [...xattrs.list(path)].sort())
      if (!attribute.includes('.overlay.') && attribute !== 'security.selinux')
        parts.push(`${attribute}=${Buffer.from(xattrs.get(path, attribute) ?? []).toString('hex')}`)
    lines.set(name, parts.join(' '))
    if (!stat.isDirectory()) return
    for (const child of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare))
      visit(Buffer.concat([path, Buffer.from('/'), child]), `${name}/${child.toString('latin1')}`)
  }
  visit(Buffer.from(root), '')
  return lines
}
