import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { availableControllers, hierarchies } from './hierarchy.ts'

/** Whether the swap of containers can be limited: on v1 only where the kernel accounts for it (`swapaccount=1`). */
export function canLimitSwap(): boolean {
  const { mode, used } = hierarchies()
  // v2 always accounts; a kernel without swap support has nothing to limit, and runtimes pass over the missing file.
  if (mode === 'v2') return availableControllers().includes('memory') && existsSync('/proc/swaps')
  const tree = used.find((h) => h.controllers.includes('memory'))
  return tree !== undefined && existsSync(join(tree.directory, 'memory.memsw.limit_in_bytes'))
}
