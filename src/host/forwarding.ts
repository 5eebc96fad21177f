import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, fromNodeError } from '../errors/host-errors.ts'
import type { ForwardingReport } from './firewall.ts'

const setting = '/proc/sys/net/ipv4/ip_forward'
const what = 'Setting net.ipv4.ip_forward, without which containers reach nothing beyond this host,'

/**
 * Lets this host forward IPv4 packets. It is a setting of the whole network namespace, so the value found is kept in a
 * file of all roots (lost at reboot, as the setting itself): written before the setting, by the first who changes it.
 */
export function ensureForwarding(hostDirectory: string): ForwardingReport {
  try {
    const found = readFileSync(setting, 'latin1').trim()
    if (found !== '0') return { changed: false }
    mkdirSync(hostDirectory, { recursive: true, mode: 0o755 })
    writeFileSync(record(hostDirectory), found, { mode: 0o600 })
    writeFileSync(setting, '1')
    return { changed: true }
  } catch (error) {
    throw fromNodeError(error, what)
  }
}

export function restoreForwarding(hostDirectory: string): void {
  let found: string
  try {
    found = readFileSync(record(hostDirectory), 'latin1')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw fromNodeError(error)
  }
  try {
    if (/^[012]$/.test(found)) writeFileSync(setting, found)
    rmSync(record(hostDirectory), { force: true })
  } catch (error) {
    throw fromNodeError(error, 'Putting net.ipv4.ip_forward back')
  }
}

const record = (hostDirectory: string) => join(hostDirectory, 'ip_forward')
