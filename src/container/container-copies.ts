import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerId } from '../driver-kit/ids.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { replaceFile } from '../host/replace-file.ts'
import { digestOf } from '../oci/digest.ts'
import type { RootPaths } from '../state/paths.ts'
import type { ContainerRecord, ContainerStatus } from './container-record.ts'

const fileName = 'container.json'

const statuses: readonly ContainerStatus[] = ['created', 'starting', 'running', 'paused', 'exited']

/**
 * `container.json` in the directory of each container that outlives its process (detached or kept): a copy of its record,
 * from which the record is built anew when state.db is damaged. Written inside the transaction that changes the record,
 * as its last step: after a kill it shows the state before or after. Its digest tells a whole copy from a damaged one.
 */
export class ContainerCopies {
  readonly #paths: RootPaths

  constructor(paths: RootPaths) {
    this.#paths = paths
  }

  write(record: ContainerRecord): void {
    // What made the container is not made again; its later states are found out anew after power loss.
    const synced = record.status === 'created'
    const text = JSON.stringify({ ...record, owner: null, holder: null })
    replaceFile(this.#file(record.id), JSON.stringify({ digest: digestOf(text), text }), { synced })
  }

  /** The first step of a removal: what is left is nobody's from then on. */
  delete(id: string): void {
    rmSync(this.#file(id), { force: true })
  }

  /** Ids of all container directories. */
  directories(): string[] {
    return readdirSync(this.#paths.containers)
  }

  /** `missing`: its container goes with its process, or is being made or removed. */
  read(id: string): ContainerRecord | 'missing' | 'damaged' {
    try {
      const { digest, text } = JSON.parse(readFileSync(this.#file(id), 'utf8')) as Record<string, unknown>
      if (typeof text !== 'string' || digest !== digestOf(text)) return 'damaged'
      return parse(JSON.parse(text), id) ?? 'damaged'
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return 'missing'
      if (error instanceof SyntaxError) return 'damaged'
      throw error
    }
  }

  /** Whether the copy says what the record says; true when there is nowhere to keep one. */
  isCurrent(record: ContainerRecord): boolean {
    const copy = this.read(record.id)
    if (typeof copy === 'object') return saySame(copy, record)
    return !existsSync(this.#paths.container(record.id))
  }

  #file(id: string): string {
    return join(this.#paths.container(id), fileName)
  }
}

/** Owner and holder are no part of a copy. */
export function saySame(copy: ContainerRecord, record: ContainerRecord): boolean {
  const text = (one: ContainerRecord) => JSON.stringify({ ...one, owner: null, holder: null }, Object.keys(one).sort())
  return text(copy) === text(record) && JSON.stringify(copy.spec) === JSON.stringify(record.spec)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTime = (value: unknown): value is string => typeof value === 'string' && !Number.isNaN(Date.parse(value))

/** Checks as much as tells a copy from a damaged one. */
function parse(value: unknown, id: string): ContainerRecord | null {
  if (!isObject(value) || value['id'] !== id) return null
  const { name, lifetime, keep, spec, status, createdAt, startedAt, exit } = value
  if (typeof name !== 'string' || (lifetime !== 'process' && lifetime !== 'detached')) return null
  if (typeof keep !== 'boolean' || !statuses.some((known) => known === status)) return null
  if (!isTime(createdAt) || !(startedAt === null || isTime(startedAt))) return null
  if (!isObject(spec) || !isObject(spec['image']) || !Array.isArray(spec['argv']) || !isObject(spec['log'])) return null
  if (!(exit === null || (isObject(exit) && typeof exit['exitCode'] === 'number' && isTime(exit['finishedAt']))))
    return null
  const stored = value as Omit<ContainerRecord, 'id'> & typeof value
  return {
    ...stored,
    id: id as ContainerId,
    owner: null,
    holder: null,
    exit: stored.exit && { ...stored.exit, finishedAt: new Date(stored.exit.finishedAt) },
    createdAt: new Date(createdAt),
    startedAt: startedAt === null ? null : new Date(startedAt),
  }
}
