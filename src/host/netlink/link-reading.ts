import type { LinkAddress, LinkInfo, RouteInfo } from '../links.ts'
import { formatIp, formatMac } from './ip-address.ts'
import { IFA, IFF_UP, IFLA, IFLA_INFO, RT_TABLE_MAIN, RTA, RTM, RTN_UNICAST } from './link-messages.ts'
import { Attributes } from './message-reader.ts'
import type { Reply } from './netlink-socket.ts'

const RTAX_MTU = 2
const AF_INET = 2
const AF_INET6 = 10

export function readLinks(reply: Reply): LinkInfo[] {
  return reply
    .filter((message) => message.type === RTM.NEWLINK && message.body.length >= 16)
    .map(({ body }) => {
      const attributes = new Attributes(body, 16)
      const mac = attributes.bytes(IFLA.ADDRESS)
      return {
        index: body.readInt32LE(4),
        name: attributes.text(IFLA.IFNAME) ?? '',
        kind: attributes.nested(IFLA.LINKINFO)?.text(IFLA_INFO.KIND) ?? null,
        mac: mac ? formatMac(mac) : '',
        mtu: attributes.u32(IFLA.MTU) ?? 0,
        up: (body.readUInt32LE(8) & IFF_UP) !== 0,
        master: attributes.u32(IFLA.MASTER),
        alias: attributes.text(IFLA.IFALIAS),
      }
    })
}

/** `links` names the indexes; addresses of links that are gone by now are left out. */
export function readAddresses(reply: Reply, links: ReadonlyMap<number, string>): LinkAddress[] {
  return reply.flatMap(({ type, body }) => {
    if (type !== RTM.NEWADDR || body.length < 8) return []
    const attributes = new Attributes(body, 8)
    // On point-to-point links IFA_ADDRESS is the other side's.
    const bytes = attributes.bytes(IFA.LOCAL) ?? attributes.bytes(IFA.ADDRESS)
    const link = links.get(body.readUInt32LE(4))
    return bytes && link !== undefined ? [{ link, address: `${formatIp(bytes)}/${body.readUInt8(1)}` }] : []
  })
}

export function readRoutes(reply: Reply, links: ReadonlyMap<number, string>): RouteInfo[] {
  return reply.flatMap(({ type, body }) => {
    if (type !== RTM.NEWROUTE || body.length < 12 || body.readUInt8(7) !== RTN_UNICAST) return []
    const family = body.readUInt8(0)
    const attributes = new Attributes(body, 12)
    const table = attributes.u32(RTA.TABLE) ?? body.readUInt8(4)
    if (table !== RT_TABLE_MAIN || (family !== AF_INET && family !== AF_INET6)) return []
    const target = attributes.bytes(RTA.DST) ?? new Uint8Array(family === AF_INET ? 4 : 16)
    const gateway = attributes.bytes(RTA.GATEWAY)
    const oif = attributes.u32(RTA.OIF)
    return [
      {
        destination: `${formatIp(target)}/${body.readUInt8(1)}`,
        gateway: gateway ? formatIp(gateway) : null,
        link: oif === null ? null : (links.get(oif) ?? null),
        metric: attributes.u32(RTA.PRIORITY) ?? 0,
        mtu: attributes.nested(RTA.METRICS)?.u32(RTAX_MTU) ?? null,
      },
    ]
  })
}
