import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import { tryLock } from '../host/file-lock.ts'

/** Held while subnets are chosen and bridges made, by all roots of the host. */
export const networksLock = (hostDirectory: string): string => join(hostDirectory, 'networks.lock')

/** Where a root's root.json is; `inode` tells it from that of a later root in the same place. */
interface RootRecord {
  readonly file: string
  readonly inode: number
}

/**
 * Which roots of this host have bridges, in files that all roots share and a reboot empties. A root whose directory was
 * deleted without a reset leaves its bridge behind and with it a subnet: here others find out and take both back.
 */
export class HostClaims {
  readonly #directory: string
  readonly #host: Pick<DriverHost, 'links' | 'firewall'>

  constructor(hostDirectory: string, host: Pick<DriverHost, 'links' | 'firewall'>) {
    this.#directory = join(hostDirectory, 'roots')
    this.#host = host
  }

  /** Before the root's first bridge is made. */
  record(rootId: string, file: string): void {
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o755 })
      const record: RootRecord = { file, inode: statSync(file).ino }
      writeFileSync(join(this.#directory, rootId), JSON.stringify(record), { mode: 0o600 })
    } catch (error) {
      throw fromNodeError(error)
    }
  }

  /** After its last bridge is gone. Idempotent. */
  forget(rootId: string): void {
    rmSync(join(this.#directory, rootId), { force: true })
  }

  /**
   * Removes the bridges of roots that are gone, unless a container still hangs on one. About 40 ms for each. Gives their
   * names.
   */
  async collect(): Promise<string[]> {
    const gone = this.#roots().filter((rootId) => this.#isGone(rootId))
    if (gone.length === 0) return []
    const links = await this.#host.links.list()
    const used = new Set(links.map(({ master }) => master))
    const removed: string[] = []
    for (const rootId of gone) {
      const bridges = links.filter(({ kind, alias }) => kind === 'bridge' && alias === `tscontainer:${rootId}`)
      if (bridges.some(({ index }) => used.has(index))) continue
      for (const { name } of bridges) {
        await this.#host.firewall.removeBridge(name)
        await this.#host.links.remove(name)
        removed.push(name)
      }
      this.forget(rootId)
    }
    return removed
  }

  /** `collect`, rules whose bridge somebody has removed, and the host's forwarding as it was when no bridge is left. */
  async collectAll(): Promise<string[]> {
    // No root of this host has ever made a bridge.
    if (!existsSync(this.#directory)) return []
    const removed = await this.collect()
    // Whoever holds it is making a bridge, which needs rules and forwarding.
    using lock = tryLock(networksLock(dirname(this.#directory)))
    if (!lock) return removed
    const { links, firewall } = this.#host
    const present = await links.list()
    for (const bridge of await firewall.listBridges()) {
      if (present.some(({ name }) => name === bridge)) continue
      await firewall.removeBridge(bridge)
      removed.push(bridge)
    }
    const left = present.some(({ kind, alias }) => kind === 'bridge' && alias?.startsWith('tscontainer:'))
    if (removed.length > 0 && !left) await firewall.restoreForwarding()
    return removed
  }

  #roots(): string[] {
    try {
      return readdirSync(this.#directory)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw fromNodeError(error)
    }
  }

  #isGone(rootId: string): boolean {
    try {
      const record = JSON.parse(readFileSync(join(this.#directory, rootId), 'utf8')) as RootRecord
      return statSync(record.file).ino !== record.inode
    } catch (error) {
      // Half written or unreadable: nobody knows, so it stays.
      return errnoOf(error) === 'ENOENT'
    }
  }
}
