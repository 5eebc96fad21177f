import { errnoOf } from '../errors/host-errors.ts'
import { layerErrors } from '../errors/layer-errors.ts'
import { llistxattr, lremovexattr, lsetxattr } from '../host/syscall/xattr.ts'
import { badName } from './entry-path.ts'
import type { TarEntry } from './tar-entry.ts'

/** Attributes with which overlay file systems mark what lies in their layers. */
export const overlayXattrs = 'trusted.overlay.'

/** @throws layer.bad_entry, layer.unsupported_entry */
export function setXattrs(path: Buffer, entry: TarEntry): void {
  for (const [name, value] of entry.xattrs) {
    if (name.startsWith(overlayXattrs))
      throw badName(entry.path, `it sets ${name}, which belongs to the overlay file system`)
    try {
      lsetxattr(path, name, value)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno !== 'EOPNOTSUPP' && errno !== 'EPERM' && errno !== 'ERANGE' && errno !== 'EINVAL') throw error
      throw layerErrors.error('unsupported_entry', {
        message: `The attribute ${name} of ${JSON.stringify(entry.path.toString())} cannot be set here (${errno}).`,
        details: { errno, xattr: name },
        cause: error,
      })
    }
  }
}

/** Takes away what a directory of a lower layer has and the entry has not. */
export function replaceXattrs(path: Buffer, entry: TarEntry): void {
  // A label is the machine's; overlay marks are the storage's.
  for (const name of llistxattr(path))
    if (!entry.xattrs.has(name) && name !== 'security.selinux' && !name.startsWith(overlayXattrs))
      lremovexattr(path, name)
}
