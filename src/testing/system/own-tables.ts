import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { linkOf, namesIn, textOf } from '../../host/vanishing-files.ts'
import { type HostTable, type HostTables, newSince, readHostTables } from '../index.ts'

/**
 * What of the machine's tables belongs to one data root. Other tests and other programs come and go beside it; theirs
 * are told apart by the names and descriptors that lead to the root and to the owners it has had.
 */
export class OwnTables {
  readonly #root: string
  readonly #rootId: string
  /** Everybody who has opened the root so far. */
  readonly #owners = new Set<string>()
  readonly #bystanders = new Set([process.pid])

  constructor(root: string, rootId: string) {
    this.#root = root
    this.#rootId = rootId
  }

  /** A process that has the root open and stays. */
  leaveOut(pid: number): void {
    this.#bystanders.add(pid)
  }

  /** Learns who has the root open now, for when they have left. */
  note(): void {
    for (const name of namesIn(join(this.#root, 'run/owners')))
      if (name.endsWith('.lock')) this.#owners.add(name.slice(0, -'.lock'.length))
  }

  /** Pids of processes that use the root or were started for it. */
  processes(): number[] {
    return this.#others().filter((pid) => this.#isOwnProcess(pid))
  }

  /** Own processes whose command line has the text. */
  processesNamed(text: string): number[] {
    return this.#others().filter((pid) => textOf(`/proc/${pid}/cmdline`).includes(text) && this.#isOwnProcess(pid))
  }

  /** The id of the owner that a process is registered as. */
  ownerOf(pid: number): string {
    const db = new DatabaseSync(join(this.#root, 'state.db'), { readOnly: true })
    try {
      return String(db.prepare('SELECT id FROM owners WHERE pid = ?').get(pid)?.['id'])
    } finally {
      db.close()
    }
  }

  /** Processes that one owner has started, its guard aside. */
  processesOf(owner: string): number[] {
    return this.#others().filter((pid) =>
      ['environ', 'cgroup'].some((name) => textOf(`/proc/${pid}/${name}`).includes(owner)),
    )
  }

  /** What is new of ours since `before`; waits a while for it to go. */
  async leaks(before: HostTables, parts: readonly HostTable[], timeoutMs = 5000): Promise<readonly string[]> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      const found = newSince(before, await readHostTables({ parts, directories: [join(this.#root, 'containers')] }))
      const held = found.length > 0 ? this.#namespaces() : new Set<string>()
      const left = found.filter((line) => this.#isOwn(line, held))
      if (left.length === 0 || Date.now() > deadline) return left
      await sleep(10)
    }
  }

  #others(): number[] {
    return namesIn('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => !this.#bystanders.has(pid))
  }

  #isOwn(line: string, held: ReadonlySet<string>): boolean {
    const [table, name = ''] = line.split(' ')
    switch (table) {
      case 'processes':
        return this.#isOwnProcess(Number(name))
      case 'namespaces':
        return held.has(name)
      case 'mounts':
        return line.includes(this.#root) || held.has(name)
      case 'links':
        return this.links().includes(name)
      case 'firewall':
        return this.links().some((link) => line.includes(link))
      case 'cgroups':
        return this.#isMarked(line)
      case 'loopDevices':
        return textOf(`/sys/block/${name}/loop/backing_file`).startsWith(this.#root)
      default:
        return true
    }
  }

  /** Namespaces that own processes are in. */
  #namespaces(): Set<string> {
    return new Set(
      this.processes().flatMap((pid) =>
        namesIn(`/proc/${pid}/task`).flatMap((thread) =>
          ['net', 'mnt'].map((kind) => linkOf(`/proc/${pid}/task/${thread}/ns/${kind}`)),
        ),
      ),
    )
  }

  #isOwnProcess(pid: number): boolean {
    if (['environ', 'cmdline', 'cgroup'].some((name) => this.#isMarked(textOf(`/proc/${pid}/${name}`)))) return true
    return namesIn(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith(`${this.#root}/`))
  }

  #isMarked(text: string): boolean {
    if (text.includes(`${this.#root}/`) || text.includes(`root.${this.#rootId}`)) return true
    for (const owner of this.#owners) if (text.includes(owner)) return true
    return false
  }

  /** Bridges and the host's ends of containers' links. */
  links(): string[] {
    return namesIn('/sys/class/net').filter((name) =>
      textOf(`/sys/class/net/${name}/ifalias`).includes(`tscontainer:${this.#rootId}`),
    )
  }
}
