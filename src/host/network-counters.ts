import { linkOf, textOf } from './vanishing-files.ts'

/** What has come in and gone out through a network interface. */
export interface NetworkCounters {
  readonly received: TrafficCounters
  readonly sent: TrafficCounters
}

export interface TrafficCounters {
  readonly bytes: number
  readonly packets: number
  readonly errors: number
  readonly dropped: number
}

/**
 * By name, the interfaces of the network namespace that a process is in, its loopback aside; none when it is this
 * process's own. Source: proc_pid_net(5).
 */
export function readNetworkCounters(pid: number): Readonly<Record<string, NetworkCounters>> {
  if (linkOf(`/proc/${pid}/ns/net`) === linkOf('/proc/self/ns/net')) return {}
  return parseNetworkCounters(textOf(`/proc/${pid}/net/dev`))
}

/** Of the text of /proc/<pid>/net/dev. */
export function parseNetworkCounters(text: string): Readonly<Record<string, NetworkCounters>> {
  const found: Record<string, NetworkCounters> = {}
  // Received: bytes packets errs drop fifo frame compressed multicast; then the same eight of what was sent.
  for (const [, name, numbers] of text.matchAll(/^\s*([^:\s]+):\s*(.*)$/gm)) {
    const values = numbers!.trim().split(/\s+/).map(Number)
    if (name === 'lo' || values.length < 12) continue
    found[name!] = { received: trafficFrom(values, 0), sent: trafficFrom(values, 8) }
  }
  return found
}

const trafficFrom = (values: readonly number[], at: number): TrafficCounters => ({
  bytes: values[at]!,
  packets: values[at + 1]!,
  errors: values[at + 2]!,
  dropped: values[at + 3]!,
})
