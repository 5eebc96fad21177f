import { closeSync, openSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { errnoOf, fromNodeError, hostErrors } from '../errors/host-errors.ts'
import {
  getLink,
  isolatePort,
  linkUp,
  newAddress,
  newDefaultRoute,
  newVeth,
  setAlias,
} from './netlink/link-messages.ts'
import { readLinks } from './netlink/link-reading.ts'
import { MessageWriter } from './netlink/message-writer.ts'
import { NetlinkSocket } from './netlink/netlink-socket.ts'
import type { NetnsPlan, VethPlan } from './netns-plan.ts'
import { CLONE, setns, unshare } from './syscall/namespace.ts'
import { NETLINK } from './syscall/socket.ts'

/**
 * Makes a network namespace with its links and gives back its descriptor (close-on-exec); the namespace lives as long as
 * that is open or a process is in it, and its links with it. The calling thread is back in its own namespace when this
 * returns or throws. Synchronous, so that nothing else of the thread can run meanwhile. About 1.5 ms with one link.
 *
 * A failure leaves nothing: the kernel removes namespace and links when the descriptor is closed.
 *
 * @throws `host.not_found` when a bridge is missing, `host.exists` when a host name is taken, `host.denied` without
 *   CAP_SYS_ADMIN and CAP_NET_ADMIN, `host.exhausted`, `host.invalid` for addresses, names and sysctls
 */
export function createNetnsSync(plan: NetnsPlan): number {
  const { fd, socket } = openNamespace(plan)
  try {
    using inside = socket
    if (plan.links.length > 0) makeLinks(plan.links, fd)
    configure(plan.links, inside)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

interface OpenNamespace {
  readonly fd: number
  /** Made inside: it stays there. */
  readonly socket: NetlinkSocket
}

function openNamespace(plan: NetnsPlan): OpenNamespace {
  const home = open('/proc/thread-self/ns/net')
  try {
    unshare(CLONE.NEWNET)
    try {
      const fd = open('/proc/thread-self/ns/net')
      try {
        writeSysctls(plan)
        return { fd, socket: new NetlinkSocket(NETLINK.ROUTE) }
      } catch (error) {
        closeSync(fd)
        throw error
      }
    } finally {
      comeBack(home)
    }
  } finally {
    closeSync(home)
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw fromNodeError(error)
  }
}

function comeBack(home: number): void {
  try {
    setns(home, CLONE.NEWNET)
  } catch (error) {
    // Nothing this thread does from now on would happen where it should: it must end. In a worker this ends the thread
    // only, and its owner sees the launcher lost; the main thread belongs to somebody else.
    if (!isMainThread) process.exit(1)
    throw hostErrors.error('launcher_lost', {
      message: 'A thread could not come back from a new network namespace: end this process.',
      cause: error,
    })
  }
}

// /proc/sys/net shows the namespace of whoever opens it: this works between unshare and setns only.
function writeSysctls(plan: NetnsPlan): void {
  // Links born later: no link-local address, no router and neighbour solicitations where nobody uses IPv6.
  if (!plan.links.some((link) => link.addresses.some((address) => address.includes(':'))))
    try {
      writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1')
    } catch (error) {
      // No IPv6 in this kernel, or /proc/sys is read-only: only quieter traffic is lost.
      if (errnoOf(error) === null) throw error
    }
  for (const [name, value] of Object.entries(plan.sysctls ?? {})) {
    if (!/^[\w./-]+$/.test(name) || name.split('/').some((part) => part === '' || /^\.+$/.test(part)))
      throw hostErrors.error('invalid', {
        message: `${JSON.stringify(name)} is no setting below /proc/sys/net. Write it like ipv4/ip_unprivileged_port_start.`,
        subject: { type: 'sysctl', id: name },
      })
    try {
      writeFileSync(`/proc/sys/net/${name}`, value)
    } catch (error) {
      throw fromNodeError(error, `Setting net/${name} to ${JSON.stringify(value)}`)
    }
  }
}

function makeLinks(links: readonly VethPlan[], namespace: number): void {
  using outside = new NetlinkSocket(NETLINK.ROUTE)
  for (const link of links) {
    const bridgeIndex = bridgeIndexOf(outside, link.bridge)
    const writer = newVeth(new MessageWriter(), { ...link, bridgeIndex, namespace })
    if (link.alias !== undefined) setAlias(writer, link.hostName, link.alias)
    if (link.isolated) isolatePort(writer, link.hostName)
    outside.exchange(writer)
  }
}

function bridgeIndexOf(socket: NetlinkSocket, name: string): number {
  const found = indexOf(socket, name)
  if (found !== null) return found
  throw hostErrors.error('not_found', {
    message: `The bridge ${name} is gone, so no container can join it. Use its network again: that makes it anew.`,
    subject: { type: 'link', id: name },
    details: { errno: 'ENODEV', link: name },
  })
}

function indexOf(socket: NetlinkSocket, name: string): number | null {
  try {
    return readLinks(socket.query(() => getLink(new MessageWriter(), name)))[0]?.index ?? null
  } catch (error) {
    if (errnoOf(error) === 'ENODEV') return null
    throw error
  }
}

/** Everything inside, in two batches: the second needs to know the numbers that the first one asks for. */
function configure(links: readonly VethPlan[], inside: NetlinkSocket): void {
  const first = linkUp(new MessageWriter(), 'lo')
  for (const link of links) getLink(linkUp(first, link.name), link.name)
  const indexes = new Map(readLinks(inside.exchange(first)).map((link) => [link.name, link.index]))
  if (links.length === 0) return
  const second = new MessageWriter()
  for (const link of links) {
    const index = indexes.get(link.name) ?? 0
    for (const address of link.addresses) newAddress(second, index, link.name, address)
    for (const gateway of link.gateways) newDefaultRoute(second, index, link.name, gateway)
  }
  if (second.sent.length > 0) inside.exchange(second)
}
