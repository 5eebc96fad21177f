import { badName } from './entry-path.ts'
import type { TarEntry } from './tar-entry.ts'

/** Largest owner: the next number means "leave it" to chown(2). */
const maxId = 2 ** 32 - 2
/** What the kernel's device numbers hold (linux/kdev_t.h); larger ones would silently become another device's. */
const maxMajor = 0xfff
const maxMinor = 0xfffff

/** Refuses what the kernel would take for something else. @throws layer.bad_entry */
export function checkEntry(entry: TarEntry): void {
  const { type, path, link, uid, gid, device, sparse, size } = entry
  for (const id of [uid, gid]) if (id < 0 || id > maxId) throw badName(path, `its owner ${id} is no id`)
  if (type === 'symlink' && link.length === 0) throw badName(path, 'it is a symbolic link to nothing')
  if (link.includes(0)) throw badName(path, 'its target holds a NUL byte')
  if (type === 'char' || type === 'block') {
    const { major, minor } = device
    if (major < 0 || major > maxMajor || minor < 0 || minor > maxMinor)
      throw badName(path, `${major}:${minor} is no device`)
    if (type === 'char' && major === 0 && minor === 0)
      throw badName(path, 'the character device 0:0 is how overlay file systems mark deletions; layers use .wh. names')
  }
  const last = sparse?.at(-1)
  if (last && last.offset + last.length > size) throw badName(path, 'the map of its holes leads past its end')
}
