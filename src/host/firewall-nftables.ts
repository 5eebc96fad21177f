import { errnoOf, hostErrors } from '../errors/host-errors.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import { acceptsIn, bridgeOf, chainsOf, chainsToAccept, rulesOf, tableOf, tagOf } from './bridge-rules.ts'
import type { BridgeRules, Firewall, FirewallReport } from './firewall.ts'
import { ensureForwarding, restoreForwarding } from './forwarding.ts'
import { MessageWriter } from './netlink/message-writer.ts'
import { NetlinkSocket } from './netlink/netlink-socket.ts'
import {
  addChain,
  addRule,
  addTable,
  beginBatch,
  deleteRule,
  deleteTable,
  dumpChains,
  dumpRules,
  dumpTables,
  endBatch,
  getGeneration,
  NFPROTO,
} from './netlink/nft-messages.ts'
import {
  type FoundChain,
  type FoundRule,
  readChains,
  readGeneration,
  readRules,
  readTables,
} from './netlink/nft-reading.ts'
import { NETLINK } from './syscall/socket.ts'

const attempts = 20

export interface FirewallOptions {
  /** What all roots of this host share; lost at reboot. Default /run/tscontainer. */
  readonly hostDirectory?: string
}

/** Questions (0.02 ms) are asked at once in the calling thread, transactions go through a pool thread. */
export function createFirewall(options: FirewallOptions = {}): Firewall {
  const hostDirectory = options.hostDirectory ?? '/run/tscontainer'
  /** What was right, in which generation of the host's rules. */
  const verified = new Map<
    string,
    { readonly generation: number; readonly rules: string; readonly obstacles: string[] }
  >()

  return {
    async probe(call?: CallOptions) {
      throwIfAborted(call, 'Looking at the firewall')
      using socket = open()
      // Who has rules of ours already takes them: checking a batch without doing it costs a grace period.
      if (bridgesIn(socket).length > 0) return
      const writer = beginBatch(new MessageWriter(), null)
      // Names of links need not exist. Without its end the kernel only checks the batch.
      writeTable(writer, { bridge: 'probe', subnets: ['192.0.2.0/24'], internal: false })
      await transact(socket, writer)
    },

    async ensureBridge(rules: BridgeRules, call?: CallOptions) {
      throwIfAborted(call, `Setting up the firewall for ${rules.bridge}`)
      using socket = open()
      const key = JSON.stringify(rules)
      const refused = new Map<string, unknown>()
      let changed = false
      for (let attempt = 1; ; attempt++) {
        const generation = generationOf(socket)
        const known = verified.get(rules.bridge)
        if (known?.generation === generation && known.rules === key) return { changed, obstacles: known.obstacles }
        const outcome = await repair(socket, rules, generation, refused)
        if (outcome === 'right') {
          const obstacles = [...refused].map(
            ([chain, error]) => `${chain}: ${error instanceof Error ? error.message : String(error)}`,
          )
          verified.set(rules.bridge, { generation, rules: key, obstacles })
          return { changed, obstacles } satisfies FirewallReport
        }
        if (outcome === 'repaired') changed = true
        // Looked at once more either way: somebody else may have been between the look and the change.
        if (attempt === attempts)
          throw hostErrors.error('busy', {
            message: `The rules of ${rules.bridge} could not be set: something on this host changes its firewall all the time. Find it with \`nft monitor\`.`,
            subject: { type: 'link', id: rules.bridge },
            retryable: true,
          })
      }
    },

    async removeBridge(bridge: string, call?: CallOptions) {
      throwIfAborted(call, `Removing the firewall rules of ${bridge}`)
      verified.delete(bridge)
      using socket = open()
      for (let attempt = 1; !(await remove(socket, bridge)); attempt++)
        if (attempt === attempts)
          throw hostErrors.error('busy', {
            message: `The rules of ${bridge} could not be removed: something on this host changes its firewall all the time.`,
            retryable: true,
          })
    },

    async listBridges(call?: CallOptions) {
      throwIfAborted(call, 'Listing firewall tables')
      using socket = open()
      return bridgesIn(socket)
    },

    async ensureForwarding() {
      return ensureForwarding(hostDirectory)
    },
    async restoreForwarding() {
      restoreForwarding(hostDirectory)
    },
  }
}

const bridgesIn = (socket: NetlinkSocket) =>
  readTables(socket.query(() => dumpTables(new MessageWriter(), NFPROTO.INET))).flatMap(
    (table) => bridgeOf(table) ?? [],
  )

const open = () => new NetlinkSocket(NETLINK.NETFILTER)

const generationOf = (socket: NetlinkSocket) => readGeneration(socket.query(() => getGeneration(new MessageWriter())))

/** `repaired`: a transaction went through; `again`: the rules of the host changed meanwhile, or a chain was refused. */
async function repair(
  socket: NetlinkSocket,
  rules: BridgeRules,
  generation: number,
  refused: Map<string, unknown>,
): Promise<'right' | 'repaired' | 'again'> {
  const own = rulesIn(socket, { family: NFPROTO.INET, table: tableOf(rules.bridge) })
  const chains = readChains(socket.query(() => dumpChains(new MessageWriter())))
  const foreign = chainsToAccept(chains)
    .filter((chain) => !refused.has(chainName(chain)))
    .map((chain) => ({ chain, tagged: taggedIn(socket, chain, rules.bridge), wanted: acceptsIn(chain, rules) }))
    .filter(({ tagged, wanted }) => tagged.length !== wanted.length)
  const expected = rulesOf(rules)
  const complete = own.map(nameOf).join('\n') === expected.map(nameOf).join('\n')
  const first = foreign[0]
  if (complete && !first) return 'right'

  // One table at a time: a foreign one that takes nothing from others (`flags owner`) must not stand in our own's way.
  const writer = beginBatch(new MessageWriter(), generation)
  if (!complete) writeTable(writer, rules)
  else if (first) {
    for (const rule of first.tagged) deleteRule(writer, rule)
    for (const rule of first.wanted) addRule(writer, rule)
  }
  try {
    await transact(socket, endBatch(writer))
    return 'repaired'
  } catch (error) {
    if (errnoOf(error) === 'ERESTART') return 'again'
    if (!complete || !first) throw error
    refused.set(chainName(first.chain), error)
    return 'again'
  }
}

const nameOf = ({ chain, comment }: { readonly chain: string; readonly comment: string | null }) =>
  `${chain} ${comment}`

const families: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 10: 'ip6' }
const chainName = ({ family, table, name }: FoundChain) => `${families[family] ?? family} ${table} ${name}`

const rulesIn = (socket: NetlinkSocket, where: { family: number; table: string; chain?: string }): FoundRule[] =>
  readRules(socket.query(() => dumpRules(new MessageWriter(), where)))

const taggedIn = (socket: NetlinkSocket, { family, table, name }: FoundChain, bridge: string): FoundRule[] =>
  rulesIn(socket, { family, table, chain: name }).filter(({ comment }) => comment === tagOf(bridge))

/** The whole table anew. Adding it first makes the deletion right whether it is there or not. */
function writeTable(writer: MessageWriter, rules: BridgeRules): void {
  const table = tableOf(rules.bridge)
  addTable(writer, NFPROTO.INET, table)
  deleteTable(writer, NFPROTO.INET, table)
  addTable(writer, NFPROTO.INET, table)
  for (const chain of chainsOf(rules.bridge)) addChain(writer, chain)
  for (const rule of rulesOf(rules)) addRule(writer, rule)
}

async function transact(socket: NetlinkSocket, writer: MessageWriter): Promise<void> {
  try {
    await socket.transact(writer)
  } catch (error) {
    // Everything named in a batch of ours was made in it: what the kernel does not find is a chain type or expression.
    if (!['ENOENT', 'EAFNOSUPPORT', 'EOPNOTSUPP', 'EPROTONOSUPPORT'].includes(errnoOf(error) ?? '')) throw error
    throw hostErrors.error('unsupported', {
      message: `This kernel lacks nf_tables with address translation for IP, which bridge networks need. Load or build nf_tables, nft_chain_nat, nft_masq and nft_ct, or use the networks none or host. (${error instanceof Error ? error.message : String(error)})`,
      subject: { type: 'kernel', id: 'nf_tables' },
      cause: error,
    })
  }
}

/** False when the rules changed meanwhile. */
async function remove(socket: NetlinkSocket, bridge: string): Promise<boolean> {
  const generation = generationOf(socket)
  const tables = readTables(socket.query(() => dumpTables(new MessageWriter(), NFPROTO.INET)))
  const tagged = readRules(socket.query(() => dumpRules(new MessageWriter()))).filter(
    (rule) => rule.comment === tagOf(bridge),
  )
  const writer = beginBatch(new MessageWriter(), generation)
  if (tables.includes(tableOf(bridge))) deleteTable(writer, NFPROTO.INET, tableOf(bridge))
  for (const rule of tagged) deleteRule(writer, rule)
  if (writer.sent.length === 1) return true
  try {
    await socket.transact(endBatch(writer))
    return true
  } catch (error) {
    if (errnoOf(error) === 'ERESTART') return false
    throw error
  }
}
