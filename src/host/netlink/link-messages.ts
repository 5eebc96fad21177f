import { hostErrors } from '../../errors/host-errors.ts'
import { AF } from '../syscall/socket.ts'
import { type IpPrefix, parseIp, parseMac, parsePrefix } from './ip-address.ts'
import { type MessageWriter, NLM_F } from './message-writer.ts'

/** Message types and attributes. Source: linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h. */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  NEWADDR: 20,
  GETADDR: 22,
  NEWROUTE: 24,
  GETROUTE: 26,
} as const
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  MASTER: 10,
  LINKINFO: 18,
  IFALIAS: 20,
  NET_NS_FD: 28,
  EXT_MASK: 29,
} as const
export const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const
export const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const
export const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, METRICS: 8, TABLE: 15 } as const
export const IFF_UP = 1
export const RT_TABLE_MAIN = 254
export const RTN_UNICAST = 1

const IFF_UP_AND_MASK = { flags: IFF_UP, change: IFF_UP }
const VETH_INFO_PEER = 1
const IFLA_BRPORT_ISOLATED = 33
const IFA_F_NODAD = 2
const RTPROT_STATIC = 4
const RTEXT_FILTER_SKIP_STATS = 8

const requestAck = NLM_F.ACK
const create = NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL

/** The kernel cuts nothing: longer names are refused here with a sentence. Source: IFNAMSIZ in linux/if.h. */
export function checkLinkName(name: string): string {
  if (Buffer.byteLength(name) > 15 || !/^[^\s/:\0]+$/.test(name) || name === '.' || name === '..')
    throw hostErrors.error('invalid', {
      message: `${JSON.stringify(name)} cannot name a network link: 1 to 15 bytes without spaces, slashes and colons.`,
      subject: { type: 'link', id: name },
    })
  return name
}

function linkHeader(writer: MessageWriter, index = 0, { flags, change } = { flags: 0, change: 0 }): MessageWriter {
  return writer.u8(AF.UNSPEC).u8(0).u16(0).u32(index).u32(flags).u32(change)
}

export function getLink(writer: MessageWriter, name: string): MessageWriter {
  return linkHeader(writer.begin(RTM.GETLINK, requestAck, `Looking for the link ${name}`))
    .attributeText(IFLA.IFNAME, checkLinkName(name))
    .attributeU32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)
}

export function dumpLinks(writer: MessageWriter): MessageWriter {
  return linkHeader(writer.begin(RTM.GETLINK, NLM_F.DUMP, 'Listing links')).attributeU32(
    IFLA.EXT_MASK,
    RTEXT_FILTER_SKIP_STATS,
  )
}

export function linkUp(writer: MessageWriter, name: string): MessageWriter {
  return linkHeader(writer.begin(RTM.NEWLINK, requestAck, `Bringing ${name} up`), 0, IFF_UP_AND_MASK).attributeText(
    IFLA.IFNAME,
    checkLinkName(name),
  )
}

export function setAlias(writer: MessageWriter, name: string, alias: string): MessageWriter {
  return linkHeader(writer.begin(RTM.NEWLINK, requestAck, `Marking the link ${name}`))
    .attributeText(IFLA.IFNAME, checkLinkName(name))
    .attribute(IFLA.IFALIAS, Buffer.from(alias))
}

export function setMtu(writer: MessageWriter, name: string, mtu: number): MessageWriter {
  return linkHeader(writer.begin(RTM.NEWLINK, requestAck, `Setting the MTU of ${name} to ${mtu}`))
    .attributeText(IFLA.IFNAME, checkLinkName(name))
    .attributeU32(IFLA.MTU, mtu)
}

export function newBridge(writer: MessageWriter, name: string, mac: string | undefined): MessageWriter {
  linkHeader(writer.begin(RTM.NEWLINK, create, `Making the bridge ${name}`)).attributeText(
    IFLA.IFNAME,
    checkLinkName(name),
  )
  // A MAC that is set stays; else it would follow whatever ports come and go.
  if (mac !== undefined) writer.attribute(IFLA.ADDRESS, parseMac(mac))
  return writer.nest(IFLA.LINKINFO, (info) => info.attributeText(IFLA_INFO.KIND, 'bridge'))
}

export interface VethMessage {
  readonly hostName: string
  readonly bridgeIndex: number
  readonly bridge: string
  readonly name: string
  readonly mac: string
  readonly mtu: number
  /** Descriptor of the namespace that the other end is born in. */
  readonly namespace: number
}

/**
 * The whole pair in one message: host end on its bridge and up, other end born in the namespace (moving it there later
 * costs 20 ms). That end cannot be up yet: the kernel answers ENOTCONN.
 */
export function newVeth(writer: MessageWriter, veth: VethMessage): MessageWriter {
  const what = `Making the link pair ${veth.hostName} (on ${veth.bridge}) and ${veth.name} in the container`
  return linkHeader(writer.begin(RTM.NEWLINK, create, what), 0, IFF_UP_AND_MASK)
    .attributeText(IFLA.IFNAME, checkLinkName(veth.hostName))
    .attributeU32(IFLA.MTU, veth.mtu)
    .attributeU32(IFLA.MASTER, veth.bridgeIndex)
    .nest(IFLA.LINKINFO, (info) =>
      info
        .attributeText(IFLA_INFO.KIND, 'veth')
        .nest(IFLA_INFO.DATA, (data) =>
          data.nest(VETH_INFO_PEER, (peer) =>
            linkHeader(peer)
              .attributeText(IFLA.IFNAME, checkLinkName(veth.name))
              .attribute(IFLA.ADDRESS, parseMac(veth.mac))
              .attributeU32(IFLA.MTU, veth.mtu)
              .attributeU32(IFLA.NET_NS_FD, veth.namespace),
          ),
        ),
    )
}

export function isolatePort(writer: MessageWriter, name: string): MessageWriter {
  return linkHeader(writer.begin(RTM.NEWLINK, requestAck, `Isolating the bridge port ${name}`))
    .attributeText(IFLA.IFNAME, checkLinkName(name))
    .nest(IFLA.LINKINFO, (info) =>
      info
        .attributeText(IFLA_INFO.SLAVE_KIND, 'bridge')
        .nest(IFLA_INFO.SLAVE_DATA, (data) => data.attributeU8(IFLA_BRPORT_ISOLATED, 1)),
    )
}

export function deleteLink(writer: MessageWriter, name: string): MessageWriter {
  return linkHeader(writer.begin(RTM.DELLINK, requestAck, `Removing the link ${name}`)).attributeText(
    IFLA.IFNAME,
    checkLinkName(name),
  )
}

export function dumpAddresses(writer: MessageWriter): MessageWriter {
  return writer.begin(RTM.GETADDR, NLM_F.DUMP, 'Listing addresses').u8(AF.UNSPEC).u8(0).u8(0).u8(0).u32(0)
}

/** Idempotent. Without duplicate address detection: the address works at once, and nobody else can have it. */
export function newAddress(writer: MessageWriter, index: number, link: string, address: string): MessageWriter {
  const parsed = parsePrefix(address)
  writer
    .begin(RTM.NEWADDR, NLM_F.ACK | NLM_F.CREATE | NLM_F.REPLACE, `Giving ${link} the address ${address}`)
    .u8(parsed.family)
    .u8(parsed.prefix)
    .u8(0)
    .u8(0)
    .u32(index)
    .attribute(IFA.LOCAL, parsed.bytes)
    .attribute(IFA.ADDRESS, parsed.bytes)
  if (parsed.family === AF.INET6) return writer.attributeU32(IFA.FLAGS, IFA_F_NODAD)
  return parsed.prefix < 31 ? writer.attribute(IFA.BROADCAST, broadcastOf(parsed)) : writer
}

function broadcastOf({ bytes, prefix }: IpPrefix): Uint8Array {
  return bytes.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, prefix - 8 * i))))
}

export function dumpRoutes(writer: MessageWriter): MessageWriter {
  return routeHeader(writer.begin(RTM.GETROUTE, NLM_F.DUMP, 'Listing routes'), AF.UNSPEC, false)
}

export function newDefaultRoute(writer: MessageWriter, index: number, link: string, gateway: string): MessageWriter {
  const { family, bytes } = parseIp(gateway)
  return routeHeader(
    writer.begin(RTM.NEWROUTE, create, `Setting the default route through ${gateway} on ${link}`),
    family,
    true,
  )
    .attribute(RTA.GATEWAY, bytes)
    .attributeU32(RTA.OIF, index)
}

function routeHeader(writer: MessageWriter, family: number, fresh: boolean): MessageWriter {
  writer.u8(family).u8(0).u8(0).u8(0)
  if (fresh) writer.u8(RT_TABLE_MAIN).u8(RTPROT_STATIC).u8(0).u8(RTN_UNICAST)
  else writer.u32(0)
  return writer.u32(0)
}
