import { setTimeout as sleep } from 'node:timers/promises'
import { tableReaders } from './host-tables.ts'

/** What a machine holds, a line of text per thing, so that two readings can be compared. */
export interface HostTables {
  readonly tables: Readonly<Partial<Record<HostTable, readonly string[]>>>
}

/** One kind of thing a machine holds. */
export type HostTable =
  | 'processes'
  | 'children'
  | 'mounts'
  | 'links'
  | 'namespaces'
  | 'firewall'
  | 'cgroups'
  | 'loopDevices'
  | 'mapperDevices'
  | 'descriptors'
  | 'files'

/** What to read, and of whom. */
export interface HostTableOptions {
  /** Which tables to read. Default: all; `files` needs `directories`. */
  readonly parts?: readonly HostTable[] | undefined
  /** Directories whose files are listed. */
  readonly directories?: readonly string[] | undefined
  /** Whose children and descriptors to list. Default: this process. */
  readonly pid?: number | undefined
}

/** Reads the tables of the machine. What other programs do meanwhile shows too; choose the tables that matter. */
export async function readHostTables(options: HostTableOptions = {}): Promise<HostTables> {
  const parts = options.parts ?? (Object.keys(tableReaders) as HostTable[])
  const lists = await Promise.all(parts.map(async (part) => [part, [...(await tableReaders[part](options))].sort()]))
  return { tables: Object.fromEntries(lists) }
}

/** What is there now and was not before: `<table> <thing>` per line. Things that came twice are told once. */
export function newSince(before: HostTables, now: HostTables): readonly string[] {
  const found: string[] = []
  for (const [table, lines] of Object.entries(now.tables)) {
    const known = new Map<string, number>()
    for (const line of before.tables[table as HostTable] ?? []) known.set(line, (known.get(line) ?? 0) + 1)
    for (const line of lines ?? []) {
      const left = known.get(line) ?? 0
      if (left > 0) known.set(line, left - 1)
      else found.push(`${table} ${line}`)
    }
  }
  return found
}

/** Reads again until nothing new is left or the time (milliseconds) is over, and gives back what still is. */
export async function settledLeaks(
  before: HostTables,
  options: HostTableOptions,
  timeoutMs = 5_000,
): Promise<readonly string[]> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const found = newSince(before, await readHostTables(options))
    if (found.length === 0 || performance.now() > end) return found
    await sleep(20)
  }
}
