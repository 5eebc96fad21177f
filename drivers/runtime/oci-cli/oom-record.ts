import { type FSWatcher, watch } from 'node:fs'
import type { DriverHost, OomWatch } from 'tscontainer/driver-kit'
import { outerCgroup } from './cgroup-path.ts'

/** Knows, after a container's end, whether the kernel killed in it for want of memory. */
export interface OomRecord {
  /** Asked once, when the runtime has ended; removes the counters. */
  happened(): Promise<boolean>
}

/** For containers without a memory limit: nothing is watched, because nothing in them is killed for its own sake. */
export const noOomRecord: OomRecord = { happened: () => Promise.resolve(false) }

/** Arms what the hierarchy at hand offers for a running container. */
export function recordOom(host: DriverHost, cgroup: string): OomRecord {
  const outer = outerCgroup(cgroup)
  if (outer !== cgroup)
    return {
      async happened() {
        const kills = host.cgroups.oomKills(outer)
        await host.cgroups.removeTree(outer)
        return kills > 0
      },
    }
  const before = host.cgroups.oomKills(cgroup)
  const events: OomWatch | null = host.cgroups.watchOom(cgroup)
  if (events) return { happened: async () => (await events.happened()) || before > 0 }
  return watchCounter(host, cgroup, before)
}

/** v2 below systemd, which removes a scope soon, but not at once: the counter is read whenever it changes. */
function watchCounter(host: DriverHost, cgroup: string, before: number): OomRecord {
  let kills = before
  let watcher: FSWatcher | null = null
  try {
    watcher = watch(`/sys/fs/cgroup${cgroup}/memory.events`, { persistent: false }, () => {
      kills = Math.max(kills, host.cgroups.oomKills(cgroup))
    })
    watcher.on('error', () => {})
  } catch {
    // The container has ended meanwhile.
  }
  return {
    async happened() {
      watcher?.close()
      return Math.max(kills, host.cgroups.oomKills(cgroup)) > 0
    },
  }
}
