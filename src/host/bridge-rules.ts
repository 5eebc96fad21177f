import type { BridgeRules } from './firewall.ts'
import { parsePrefix } from './netlink/ip-address.ts'
import {
  counter,
  type Expression,
  iptablesLink,
  iptablesReplies,
  link,
  masquerade,
  published,
  replies,
  source,
  verdict,
} from './netlink/nft-expressions.ts'
import { type BaseChain, HOOK, NFPROTO, type Rule } from './netlink/nft-messages.ts'
import type { FoundChain } from './netlink/nft-reading.ts'

const prefix = 'tscontainer-'

/** Name of a bridge's own table in family inet. */
export const tableOf = (bridge: string) => `${prefix}${bridge}`
export const bridgeOf = (table: string) => (table.startsWith(prefix) ? table.slice(prefix.length) : null)
/** Comment of our accepts in chains of the host. */
export const tagOf = (bridge: string) => `tscontainer:${bridge}`

export const chainsOf = (bridge: string): BaseChain[] => [
  { family: NFPROTO.INET, table: tableOf(bridge), name: 'forward', type: 'filter', hook: HOOK.FORWARD, priority: 0 },
  {
    family: NFPROTO.INET,
    table: tableOf(bridge),
    name: 'postrouting',
    type: 'nat',
    hook: HOOK.POSTROUTING,
    priority: 100,
  },
]

/**
 * The rules of a bridge's own table. Each comment says what the rule does and no two plans with the same comments
 * differ, so a look at the comments shows whether a table is complete.
 */
export function rulesOf({ bridge, subnets, internal }: BridgeRules): Rule[] {
  const rule = (chain: string, comment: string, ...expressions: Expression[]): Rule => ({
    family: NFPROTO.INET,
    table: tableOf(bridge),
    chain,
    expressions,
    comment,
    place: 'last',
  })
  const coming = [...link('in', bridge, true), ...link('out', bridge)]
  if (internal)
    return [
      rule('forward', 'internal: nothing comes in', ...coming, verdict(false)),
      rule(
        'forward',
        'internal: nothing goes out',
        ...link('in', bridge),
        ...link('out', bridge, true),
        verdict(false),
      ),
    ]
  return [
    rule('forward', 'answers to containers', ...coming, ...replies(), verdict(true)),
    rule('forward', 'published ports', ...coming, ...published(), verdict(true)),
    // Neither other networks of containers nor the host's neighbours reach in by a route of their own.
    rule('forward', 'nothing else comes in', ...coming, verdict(false)),
    ...subnets.map((subnet) => {
      const { bytes, prefix: bits } = parsePrefix(subnet)
      const outside = [...source(bytes, bits), ...link('out', bridge, true)]
      return rule('postrouting', `masquerade ${subnet}`, ...outside, masquerade())
    }),
  ]
}

/** Accepts for a bridge in a chain of the host that drops by policy; the last one here comes first in the chain. */
export function acceptsIn(chain: FoundChain, { bridge, internal }: BridgeRules): Rule[] {
  const { family, table, name } = chain
  const rule = (...expressions: Expression[]): Rule => ({
    family,
    table,
    chain: name,
    expressions,
    comment: tagOf(bridge),
    place: 'first',
  })
  if (table === 'filter' && family !== NFPROTO.INET) {
    const end = [counter(), verdict(true)]
    // With br_netfilter even packets between two ports of one bridge come through here.
    const within = rule(...iptablesLink('in', bridge), ...iptablesLink('out', bridge), ...end)
    if (internal) return [within]
    return [
      rule(...iptablesLink('out', bridge), iptablesReplies(), ...end),
      rule(...iptablesLink('in', bridge), ...end),
    ]
  }
  if (internal) return [rule(...link('in', bridge), ...link('out', bridge), verdict(true))]
  return [rule(...link('out', bridge), ...replies(), verdict(true)), rule(...link('in', bridge), verdict(true))]
}

/** Where accepts must stand: in every forward chain that drops by policy, in Docker's chain for others where it exists. */
export function chainsToAccept(chains: readonly FoundChain[]): FoundChain[] {
  return chains
    .filter(
      ({ family, table, hook, dropsByPolicy }) =>
        hook === HOOK.FORWARD &&
        dropsByPolicy &&
        bridgeOf(table) === null &&
        (family === NFPROTO.INET || family === NFPROTO.IPV4 || family === NFPROTO.IPV6),
    )
    .map(
      (dropping) =>
        chains.find(
          ({ family, table, name }) => family === dropping.family && table === dropping.table && name === 'DOCKER-USER',
        ) ?? dropping,
    )
}
