import { Attributes } from './message-reader.ts'
import type { Reply } from './netlink-socket.ts'
import { CHAIN, GEN_ID, HOOK_NUMBER, NFT, POLICY, RULE, type RuleHandle, TABLE_NAME } from './nft-messages.ts'

export interface FoundChain {
  readonly family: number
  readonly table: string
  readonly name: string
  /** Null for chains that others jump to. */
  readonly hook: number | null
  readonly dropsByPolicy: boolean
}

export interface FoundRule extends RuleHandle {
  readonly comment: string | null
}

const attributesOf = (reply: Reply, wanted: number) =>
  reply.flatMap(({ type, body }) =>
    type === wanted && body.length >= 4 ? [{ family: body.readUInt8(0), attributes: new Attributes(body, 4) }] : [],
  )

export function readGeneration(reply: Reply): number {
  return attributesOf(reply, NFT.NEWGEN)[0]?.attributes.be32(GEN_ID) ?? 0
}

export function readTables(reply: Reply): string[] {
  return attributesOf(reply, NFT.NEWTABLE).map(({ attributes }) => attributes.text(TABLE_NAME) ?? '')
}

export function readChains(reply: Reply): FoundChain[] {
  return attributesOf(reply, NFT.NEWCHAIN).map(({ family, attributes }) => ({
    family,
    table: attributes.text(CHAIN.TABLE) ?? '',
    name: attributes.text(CHAIN.NAME) ?? '',
    hook: attributes.nested(CHAIN.HOOK)?.be32(HOOK_NUMBER) ?? null,
    dropsByPolicy: attributes.be32(CHAIN.POLICY) === POLICY.DROP,
  }))
}

export function readRules(reply: Reply): FoundRule[] {
  return attributesOf(reply, NFT.NEWRULE).map(({ family, attributes }) => ({
    family,
    table: attributes.text(RULE.TABLE) ?? '',
    chain: attributes.text(RULE.CHAIN) ?? '',
    handle: attributes.be64(RULE.HANDLE) ?? 0n,
    comment: commentOf(attributes),
  }))
}

const text = (bytes: Buffer) => bytes.toString('utf8', 0, bytes.indexOf(0) < 0 ? bytes.length : bytes.indexOf(0))

/** nft keeps comments beside a rule; after iptables-save and -restore ours is a match in it. */
function commentOf(rule: Attributes): string | null {
  const beside = rule.bytes(RULE.USERDATA)
  for (let at = 0; beside && at + 2 <= beside.length; at += 2 + beside.readUInt8(at + 1))
    if (beside.readUInt8(at) === 0) return text(beside.subarray(at + 2, at + 2 + beside.readUInt8(at + 1)))
  for (const element of rule.nested(RULE.EXPRESSIONS)?.elements ?? []) {
    const expression = new Attributes(element)
    const match = expression.text(1) === 'match' ? expression.nested(2) : null
    const info = match?.text(1) === 'comment' ? match.bytes(3) : null
    if (info) return text(info)
  }
  return null
}
