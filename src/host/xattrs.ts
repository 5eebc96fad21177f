import { lgetxattr, llistxattr, lremovexattr, lsetxattr } from './syscall/xattr.ts'
import type { Xattrs } from './xattr.ts'

/** The kernel's extended attributes. */
export function createXattrs(): Xattrs {
  return {
    list: llistxattr,
    get: lgetxattr,
    set: lsetxattr,
    remove(path, name) {
      lremovexattr(path, name)
    },
  }
}
