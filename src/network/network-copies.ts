import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Attachment } from '../driver-kit/network-driver.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { replaceFile } from '../host/replace-file.ts'

/** A row of the table `networks`. */
export interface NetworkRow extends Record<string, unknown> {
  readonly id: string
  readonly name: string
  readonly driver: string
  readonly spec: string
  readonly created_at: number
}

/** What a container that outlives its starter has claimed, with the attachment that its driver made of it. */
export interface ClaimCopy {
  readonly endpoint: string
  readonly network: string
  readonly interfaceName: string
  readonly mac: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly attachment: Attachment | null
}

const claimsFile = 'endpoints.json'

/** Written inside the transaction that changes the networks. */
export function writeNetworkCopy(file: string, rows: readonly NetworkRow[]): void {
  replaceFile(file, JSON.stringify(rows), { synced: true })
}

/** Empty when the copy is missing or damaged: then networks get new ids. */
export function readNetworkCopy(file: string): readonly NetworkRow[] {
  return readList(file).filter(isNetworkRow)
}

/** Into the container's directory, which goes with the container. */
export function writeClaims(directory: string, claims: readonly ClaimCopy[]): void {
  replaceFile(join(directory, claimsFile), JSON.stringify(claims), { synced: false })
}

/** Empty when there are none, or nobody can read them. */
export function readClaims(directory: string): readonly ClaimCopy[] {
  return readList(join(directory, claimsFile)).filter(isClaim)
}

function readList(file: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return Array.isArray(value) ? value : []
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}

const hasStrings = (value: unknown, ...keys: readonly string[]): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && keys.every((key) => typeof Reflect.get(value, key) === 'string')

function isNetworkRow(value: unknown): value is NetworkRow {
  if (!hasStrings(value, 'id', 'name', 'driver', 'spec') || typeof value['created_at'] !== 'number') return false
  try {
    return /^[0-9a-f]{64}$/.test(String(value['id'])) && Array.isArray(JSON.parse(String(value['spec'])).subnets)
  } catch {
    return false
  }
}

const isClaim = (value: unknown): value is ClaimCopy =>
  hasStrings(value, 'endpoint', 'network', 'interfaceName', 'mac') &&
  Array.isArray(value['addresses']) &&
  value['addresses'].every((address) => typeof address === 'string')
