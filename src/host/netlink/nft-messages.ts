import { AF } from '../syscall/socket.ts'
import { type MessageWriter, NLM_F } from './message-writer.ts'
import type { Expression } from './nft-expressions.ts'

/** Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h. */
export const NFT = {
  NEWTABLE: 0xa00,
  GETTABLE: 0xa01,
  DELTABLE: 0xa02,
  NEWCHAIN: 0xa03,
  GETCHAIN: 0xa04,
  NEWRULE: 0xa06,
  GETRULE: 0xa07,
  DELRULE: 0xa08,
  NEWGEN: 0xa0f,
  GETGEN: 0xa10,
} as const
export const NFPROTO = { UNSPEC: 0, INET: 1, IPV4: 2, IPV6: 10 } as const
export const HOOK = { FORWARD: 2, POSTROUTING: 4 } as const
export const POLICY = { DROP: 0, ACCEPT: 1 } as const
export const TABLE_NAME = 1
export const CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const
export const HOOK_NUMBER = 1
export const RULE = { TABLE: 1, CHAIN: 2, HANDLE: 3, EXPRESSIONS: 4, USERDATA: 7 } as const
export const GEN_ID = 1

const HOOK_PRIORITY = 2
const BATCH_BEGIN = 16
const BATCH_END = 17
const BATCH_GENID = 1
const SUBSYSTEM = 10
const UDATA_RULE_COMMENT = 0

function header(writer: MessageWriter, family: number, resource = 0): MessageWriter {
  // The resource id is in network order.
  return writer
    .u8(family)
    .u8(0)
    .u8(resource >> 8)
    .u8(resource & 0xff)
}

/** `generation`: the batch is refused with ERESTART when the rules of the host have changed since. */
export function beginBatch(writer: MessageWriter, generation: number | null): MessageWriter {
  header(writer.begin(BATCH_BEGIN, 0, 'Changing the firewall'), AF.UNSPEC, SUBSYSTEM)
  return generation === null ? writer : writer.attributeBe32(BATCH_GENID, generation)
}

/** Without it the kernel checks a batch and forgets it. */
export function endBatch(writer: MessageWriter): MessageWriter {
  return header(writer.begin(BATCH_END, 0, 'Changing the firewall'), AF.UNSPEC, SUBSYSTEM)
}

export function addTable(writer: MessageWriter, family: number, table: string): MessageWriter {
  return header(
    writer.begin(NFT.NEWTABLE, NLM_F.ACK | NLM_F.CREATE, `Making the nftables table ${table}`),
    family,
  ).attributeText(TABLE_NAME, table)
}

export function deleteTable(writer: MessageWriter, family: number, table: string): MessageWriter {
  return header(writer.begin(NFT.DELTABLE, NLM_F.ACK, `Removing the nftables table ${table}`), family).attributeText(
    TABLE_NAME,
    table,
  )
}

export interface BaseChain {
  readonly family: number
  readonly table: string
  readonly name: string
  readonly type: 'filter' | 'nat'
  readonly hook: number
  readonly priority: number
}

export function addChain(writer: MessageWriter, chain: BaseChain): MessageWriter {
  return header(
    writer.begin(NFT.NEWCHAIN, NLM_F.ACK | NLM_F.CREATE, `Making the nftables chain ${chain.name} of ${chain.table}`),
    chain.family,
  )
    .attributeText(CHAIN.TABLE, chain.table)
    .attributeText(CHAIN.NAME, chain.name)
    .nest(CHAIN.HOOK, (hook) =>
      hook.attributeBe32(HOOK_NUMBER, chain.hook).attributeBe32(HOOK_PRIORITY, chain.priority),
    )
    .attributeBe32(CHAIN.POLICY, POLICY.ACCEPT)
    .attributeText(CHAIN.TYPE, chain.type)
}

export interface Rule {
  readonly family: number
  readonly table: string
  readonly chain: string
  readonly expressions: readonly Expression[]
  /** At most 127 bytes. */
  readonly comment: string
  readonly place: 'first' | 'last'
}

export function addRule(writer: MessageWriter, rule: Rule): MessageWriter {
  const comment = Buffer.from(`${rule.comment}\0`)
  const flags = NLM_F.ACK | NLM_F.CREATE | (rule.place === 'last' ? NLM_F.APPEND : 0)
  return header(
    writer.begin(NFT.NEWRULE, flags, `Adding the rule "${rule.comment}" to ${rule.table} ${rule.chain}`),
    rule.family,
  )
    .attributeText(RULE.TABLE, rule.table)
    .attributeText(RULE.CHAIN, rule.chain)
    .nest(RULE.EXPRESSIONS, (list) => {
      for (const write of rule.expressions) write(list)
    })
    .attribute(RULE.USERDATA, Buffer.concat([Uint8Array.of(UDATA_RULE_COMMENT, comment.length), comment]))
}

export interface RuleHandle {
  readonly family: number
  readonly table: string
  readonly chain: string
  readonly handle: bigint
}

export function deleteRule(writer: MessageWriter, rule: RuleHandle): MessageWriter {
  return header(writer.begin(NFT.DELRULE, NLM_F.ACK, `Removing a rule from ${rule.table} ${rule.chain}`), rule.family)
    .attributeText(RULE.TABLE, rule.table)
    .attributeText(RULE.CHAIN, rule.chain)
    .attributeBe64(RULE.HANDLE, rule.handle)
}

export function getGeneration(writer: MessageWriter): MessageWriter {
  return header(writer.begin(NFT.GETGEN, NLM_F.ACK, 'Reading the generation of the firewall rules'), AF.UNSPEC)
}

export function dumpTables(writer: MessageWriter, family: number): MessageWriter {
  return header(writer.begin(NFT.GETTABLE, NLM_F.DUMP, 'Listing nftables tables'), family)
}

export function dumpChains(writer: MessageWriter): MessageWriter {
  return header(writer.begin(NFT.GETCHAIN, NLM_F.DUMP, 'Listing nftables chains'), NFPROTO.UNSPEC)
}

/** All rules of the host, or those of one table or chain. */
export function dumpRules(
  writer: MessageWriter,
  where?: { readonly family: number; readonly table: string; readonly chain?: string },
): MessageWriter {
  header(writer.begin(NFT.GETRULE, NLM_F.DUMP, 'Listing nftables rules'), where?.family ?? NFPROTO.UNSPEC)
  if (where) writer.attributeText(RULE.TABLE, where.table)
  return where?.chain === undefined ? writer : writer.attributeText(RULE.CHAIN, where.chain)
}
