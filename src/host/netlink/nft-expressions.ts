import type { MessageWriter } from './message-writer.ts'

/** One step of a rule, written as an element of its expression list. Source: linux/netfilter/nf_tables.h. */
export type Expression = (writer: MessageWriter) => void

const NFTA_LIST_ELEM = 1
const REGISTER = 1
const META_KEY = { IIFNAME: 6, OIFNAME: 7, NFPROTO: 15 } as const
const CT_KEY = { STATE: 0, STATUS: 2 } as const
const COMPARE = { EQ: 0, NEQ: 1 } as const
const NETWORK_HEADER = 1
const NFPROTO = { IPV4: 2, IPV6: 10 } as const
/** Bits of ct state. Source: NF_CT_STATE_BIT. */
const ESTABLISHED_OR_RELATED = 2 | 4
const XT_CONNTRACK_STATE = 1
/** IPS_DST_NAT: somebody's port publishing leads here. */
const DESTINATION_TRANSLATED = 32

const expression =
  (name: string, data?: (writer: MessageWriter) => void): Expression =>
  (writer) =>
    writer.nest(NFTA_LIST_ELEM, (element) => {
      element.attributeText(1, name)
      if (data) element.nest(2, data)
    })

const value = (writer: MessageWriter, type: number, bytes: Uint8Array) =>
  writer.nest(type, (data) => data.attribute(1, bytes))

const meta = (key: number) => expression('meta', (w) => w.attributeBe32(2, key).attributeBe32(1, REGISTER))

const compare = (operator: number, bytes: Uint8Array) =>
  expression('cmp', (w) => value(w.attributeBe32(1, REGISTER).attributeBe32(2, operator), 3, bytes))

const mask = (bits: Uint8Array) =>
  expression('bitwise', (w) => {
    w.attributeBe32(1, REGISTER).attributeBe32(2, REGISTER).attributeBe32(3, bits.length)
    value(value(w, 4, bits), 5, new Uint8Array(bits.length))
  })

const native32 = (number: number) => new Uint8Array(new Uint32Array([number]).buffer)

const conntrack = (key: number, bits: number): Expression[] => [
  expression('ct', (w) => w.attributeBe32(2, key).attributeBe32(1, REGISTER)),
  mask(native32(bits)),
  compare(COMPARE.NEQ, native32(0)),
]

const linkName = (name: string, size: number) => {
  const bytes = new Uint8Array(size)
  bytes.set(Buffer.from(name))
  return bytes
}

/** `iifname`/`oifname`, optionally `!=`. */
export const link = (direction: 'in' | 'out', name: string, not = false): Expression[] => [
  meta(direction === 'in' ? META_KEY.IIFNAME : META_KEY.OIFNAME),
  compare(not ? COMPARE.NEQ : COMPARE.EQ, linkName(name, 16)),
]

/** `ip saddr` or `ip6 saddr` within a prefix. */
export function source(address: Uint8Array, prefix: number): Expression[] {
  const four = address.length === 4
  const bits = address.map((_, i) => 0xff & (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * i))))
  return [
    meta(META_KEY.NFPROTO),
    compare(COMPARE.EQ, Uint8Array.of(four ? NFPROTO.IPV4 : NFPROTO.IPV6)),
    expression('payload', (w) =>
      w
        .attributeBe32(1, REGISTER)
        .attributeBe32(2, NETWORK_HEADER)
        .attributeBe32(3, four ? 12 : 8)
        .attributeBe32(4, address.length),
    ),
    mask(bits),
    compare(
      COMPARE.EQ,
      address.map((byte, i) => byte & bits[i]!),
    ),
  ]
}

/** `ct state established,related`. */
export const replies = (): Expression[] => conntrack(CT_KEY.STATE, ESTABLISHED_OR_RELATED)

/** `ct status dnat`. */
export const published = (): Expression[] => conntrack(CT_KEY.STATUS, DESTINATION_TRANSLATED)

export const masquerade = (): Expression => expression('masq')

export const verdict = (accept: boolean): Expression =>
  expression('immediate', (w) =>
    w.attributeBe32(1, 0).nest(2, (data) => data.nest(2, (code) => code.attributeBe32(1, accept ? 1 : 0))),
  )

// What follows is written as iptables-nft writes it: with anything else in its tables `iptables -L` refuses to list them.

/** `-i`/`-o`. */
export const iptablesLink = (direction: 'in' | 'out', name: string): Expression[] => [
  meta(direction === 'in' ? META_KEY.IIFNAME : META_KEY.OIFNAME),
  compare(COMPARE.EQ, linkName(name, Buffer.byteLength(name) + 1)),
]

export const counter = (): Expression => expression('counter', (w) => w.attributeBe64(1, 0n).attributeBe64(2, 0n))

const match = (name: string, revision: number, info: Uint8Array) =>
  expression('match', (w) => w.attributeText(1, name).attributeBe32(2, revision).attribute(3, info))

/** `-m conntrack --ctstate RELATED,ESTABLISHED`. Source: struct xt_conntrack_mtinfo3 in linux/netfilter/xt_conntrack.h. */
export const iptablesReplies = (): Expression => {
  const info = new Uint8Array(168)
  const view = new DataView(info.buffer)
  view.setUint16(146, XT_CONNTRACK_STATE, true)
  view.setUint16(150, ESTABLISHED_OR_RELATED, true)
  return match('conntrack', 3, info)
}
