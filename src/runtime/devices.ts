import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { runtimeErrors } from '../errors/runtime-errors.ts'
import type { RuntimeDevice, RuntimeDeviceRule } from '../oci/runtime-spec.ts'

/** A device of the host that a container gets, as an object or in Docker's short form `source[:target[:access]]`. */
export interface DeviceEntry {
  /** Absolute path on the host of a device, or of a directory in /dev with devices. */
  readonly source: string
  /** Absolute path in the container. Default: the same. */
  readonly target?: string
  /** Letters of r (read), w (write), m (make). Default `rwm`. */
  readonly access?: string
}

/** A device as recorded: looked up at each start, since numbers change when devices come and go. */
export interface StoredDevice {
  readonly source: string
  readonly target: string
  readonly access: string
}

/** @throws runtime.bad_device */
export function parseDevices(entries: readonly unknown[]): readonly StoredDevice[] {
  return entries.map((entry) => {
    const { source, target = source, access = 'rwm' } = typeof entry === 'string' ? fromText(entry) : fromObject(entry)
    for (const path of [source, target])
      if (!path.startsWith('/') || path.includes('\0')) throw bad(path, `"${path}" is no absolute path of a device.`)
    if (!/^[rwm]{1,3}$/.test(access))
      throw bad(source, `The access of ${source} takes letters of r, w and m, got "${access}".`)
    return { source: posix.normalize(source), target: posix.normalize(target), access }
  })
}

function fromText(text: string): DeviceEntry {
  const [source = '', second, third, ...rest] = text.split(':')
  if (rest.length > 0) throw bad(text, `"${text}" is no device: it must read source[:target[:access]].`)
  if (second === undefined) return { source }
  // The target may be left out.
  if (third === undefined && !second.startsWith('/')) return { source, access: second }
  return { source, target: second, ...(third !== undefined && { access: third }) }
}

function fromObject(entry: unknown): DeviceEntry {
  const { source, target, access, ...others } = (entry ?? {}) as Record<string, unknown>
  const isText = (value: unknown) => value === undefined || typeof value === 'string'
  if (typeof source === 'string' && isText(target) && isText(access) && Object.keys(others).length === 0)
    return entry as DeviceEntry
  throw bad(
    JSON.stringify(entry) ?? String(entry),
    `A device takes source, target and access; got ${JSON.stringify(entry)}.`,
  )
}

/** Docker's form of a rule: `c 1:3 mr`, `b *:* rwm`, `a *:* r`. @throws runtime.bad_device */
export function parseDeviceRule(text: unknown): RuntimeDeviceRule {
  const groups = typeof text === 'string' ? /^(\S) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text) : null
  const [, kind, major, minor, access] = groups ?? []
  const type = (['a', 'b', 'c'] as const).find((known) => known === kind)
  if (!type || access === undefined)
    throw bad(
      String(text),
      `${JSON.stringify(text)} is no rule for devices; give one such as "c 1:3 rwm" or "b 8:* r".`,
    )
  return {
    allow: true,
    type,
    ...(major !== '*' && { major: Number(major) }),
    ...(minor !== '*' && { minor: Number(minor) }),
    access,
  }
}

/** What a container gets: nodes in its /dev, and what it may do with them. */
export interface ResolvedDevices {
  readonly nodes: readonly RuntimeDevice[]
  readonly rules: readonly RuntimeDeviceRule[]
}

/** Looks devices up on this host. @throws runtime.device_missing, runtime.bad_device */
export function resolveDevices(devices: readonly StoredDevice[]): ResolvedDevices {
  const found = devices.flatMap(({ source, target, access }) => {
    const facts = lookAt(source)
    // Elsewhere a directory may be a whole disk to search.
    const nodes = facts.isDirectory() && !source.startsWith('/dev/') ? [] : nodesAt(source, target, facts)
    if (nodes.length === 0) throw bad(source, `${source} is no device, and no directory in /dev with devices.`)
    return nodes.map((node) => ({ node, access }))
  })
  return {
    nodes: found.map(({ node }) => node),
    rules: found.map(({ node: { type, major, minor }, access }) => ({
      allow: true,
      type: type === 'b' ? 'b' : 'c',
      major: major!,
      minor: minor!,
      access,
    })),
  }
}

/** Not the host's: a container has its own, or they are no devices. */
const leftOut: ReadonlySet<string> = new Set(['console', 'fd', 'mqueue', 'ptmx', 'pts', 'shm'])

/** Every device of the host, for containers that are privileged. */
export function hostDevices(): ResolvedDevices {
  const nodes = readdirSync('/dev').flatMap((name) => {
    if (leftOut.has(name)) return []
    const path = join('/dev', name)
    const facts = lstatSync(path, { throwIfNoEntry: false })
    return facts ? nodesAt(path, path, facts) : []
  })
  return { nodes, rules: [{ allow: true, type: 'a', access: 'rwm' }] }
}

function lookAt(source: string): Stats {
  const facts = statSync(source, { throwIfNoEntry: false })
  if (facts) return facts
  throw runtimeErrors.error('device_missing', {
    message: `There is no device ${source} on this host.`,
    subject: { type: 'device', id: source },
  })
}

function nodesAt(source: string, target: string, facts: Stats): readonly RuntimeDevice[] {
  if (facts.isDirectory())
    return readdirSync(source).flatMap((name) => {
      // Not through links: what they lead to has a name of its own.
      const inner = lstatSync(join(source, name), { throwIfNoEntry: false })
      return inner ? nodesAt(join(source, name), join(target, name), inner) : []
    })
  if (!facts.isCharacterDevice() && !facts.isBlockDevice()) return []
  return [
    {
      path: target,
      type: facts.isBlockDevice() ? 'b' : 'c',
      ...deviceNumber(facts.rdev),
      fileMode: facts.mode & 0o777,
      uid: facts.uid,
      gid: facts.gid,
    },
  ]
}

/** Source: sys/sysmacros.h (gnu_dev_major, gnu_dev_minor). */
function deviceNumber(rdev: number): { readonly major: number; readonly minor: number } {
  const wide = BigInt(rdev)
  return {
    major: Number(((wide >> 8n) & 0xfffn) | ((wide >> 32n) & ~0xfffn)),
    minor: Number((wide & 0xffn) | ((wide >> 12n) & 0xffffff00n)),
  }
}

const bad = (device: string, message: string) =>
  runtimeErrors.error('bad_device', { message, subject: { type: 'device', id: device } })
