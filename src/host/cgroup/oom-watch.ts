import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf, fromNodeError } from '../../errors/host-errors.ts'
import { eventfd } from '../syscall/descriptor.ts'
import { hierarchies } from './hierarchy.ts'

/** Tells, after a cgroup is gone, whether it ran out of memory. */
export interface OomWatch extends Disposable {
  /** To be asked once, after the cgroup's removal. */
  happened(): Promise<boolean>
}

/**
 * Watches a v1 cgroup, whose counters vanish with it. The kernel counts an event descriptor on `memory.oom_control` up
 * at every OOM, and every event descriptor of a cgroup once more at its removal, soon after rmdir. A second one, on a
 * usage that is never reached, tells the two apart. Null where there is no v1 memory hierarchy or no such cgroup.
 * Source: Documentation/admin-guide/cgroup-v1/memory.rst, sections 9 and 10.
 */
export function watchOom(path: string): OomWatch | null {
  const tree = hierarchies().used.find((h) => h.version === 1 && h.controllers.includes('memory'))
  if (!tree) return null
  const directory = join(tree.directory, path)
  const opened: number[] = []
  const close = () => {
    for (const fd of opened.splice(0)) closeSync(fd)
  }
  const register = (file: string, argument: string): number => {
    const event = eventfd()
    opened.push(event)
    const target = openSync(join(directory, file), 'r')
    try {
      writeFileSync(join(directory, 'cgroup.event_control'), `${event} ${target}${argument}`)
    } finally {
      closeSync(target)
    }
    return event
  }
  try {
    const oom = register('memory.oom_control', '')
    const removal = register('memory.usage_in_bytes', ' 9223372036854771712')
    return { happened: () => compare(oom, removal).finally(close), [Symbol.dispose]: close }
  } catch (error) {
    close()
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return null
    throw fromNodeError(error)
  }
}

async function compare(oom: number, removal: number): Promise<boolean> {
  let ooms = 0
  let removals = 0
  for (let pause = 1; ; pause *= 2) {
    ooms += count(oom)
    removals += count(removal)
    // Nothing at all is certain at once: an OOM is counted before its victim dies.
    if (ooms === 0 || removals > 0 || pause > 512) break
    await sleep(pause)
  }
  // The two descriptors are not counted up in one instant.
  if (ooms === 1 && removals > 0) {
    await sleep(1)
    ooms += count(oom)
  }
  return ooms > removals
}

function count(fd: number): number {
  const value = new BigUint64Array(1)
  try {
    readSync(fd, value)
    return Number(value[0])
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return 0
    throw fromNodeError(error)
  }
}
