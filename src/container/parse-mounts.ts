import { mkdirSync, realpathSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import { parseOptionObject } from '../driver-kit/options.ts'
import { containerErrors } from '../errors/container-errors.ts'
import { parseBytes } from '../runtime/byte-size.ts'
import type { MountEntry } from './container-spec.ts'
import type { StoredMount } from './stored-spec.ts'

const propagations = ['rprivate', 'private', 'rslave', 'slave', 'rshared', 'shared'] as const

const bad = (entry: unknown, why: string) =>
  containerErrors.error('bad_spec', {
    message: `The mount ${JSON.stringify(entry)} is wrong: ${why}.`,
    details: { field: 'mounts' },
  })

/** Checks a container's mounts and makes missing sources where that is asked for. */
export function parseMounts(entries: readonly (string | MountEntry)[] | undefined): readonly StoredMount[] {
  const mounts = (entries ?? []).map((entry) => (typeof entry === 'string' ? parseShort(entry) : parseEntry(entry)))
  const seen = new Set<string>()
  for (const mount of mounts) {
    if (seen.has(mount.target)) throw bad(mount, `another mount has the target ${mount.target}`)
    seen.add(mount.target)
  }
  return mounts
}

/** `source:target[:options]`, options being a list of ro, rw and a propagation. */
function parseShort(text: string): StoredMount {
  const [source, target, options, ...rest] = text.split(':')
  if (!source || !target || rest.length > 0) throw bad(text, 'the short form is source:target[:options]')
  if (!source.startsWith('/'))
    throw containerErrors.error('unsupported_option', {
      message: `The mount "${text}" names the volume "${source}"; this version mounts host directories only. Give an absolute path.`,
      details: { field: 'mounts' },
    })
  const words = options ? options.split(',') : []
  const propagation = propagations.find((word) => words.includes(word))
  const unknown = words.find((word) => word !== 'ro' && word !== 'rw' && !propagations.some((p) => p === word))
  if (unknown !== undefined)
    throw bad(text, `there is no option "${unknown}"; known are ro, rw, ${propagations.join(', ')}`)
  return parseEntry({
    type: 'bind',
    source,
    target,
    readOnly: words.includes('ro'),
    createSource: true,
    ...(propagation ? { propagation } : {}),
  })
}

function parseEntry(entry: MountEntry): StoredMount {
  if (typeof entry !== 'object' || entry === null) throw bad(entry, 'it must be text or an object')
  const flag = (value: unknown, key: string) => {
    if (typeof value === 'boolean') return value
    throw bad(entry, `${key} must be true or false`)
  }
  const common = { type: (value: unknown) => value, target: (value: unknown) => targetOf(value, entry), readOnly: flag }
  if (entry.type === 'tmpfs') {
    const parsed = parseOptionObject('a tmpfs mount', entry, {
      ...common,
      size: (value) => {
        const size = parseBytes(value)
        if (size === null || size === 0) throw bad(entry, "size must be bytes or text such as '64m'")
        return size
      },
      mode: (value) => {
        if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0o7777) return value
        throw bad(entry, 'mode must be a number from 0 to 0o7777')
      },
    })
    return {
      type: 'tmpfs',
      target: parsed.target ?? targetOf(undefined, entry),
      readOnly: parsed.readOnly ?? false,
      sizeBytes: parsed.size ?? null,
      mode: parsed.mode ?? 0o1777,
    }
  }
  if (entry.type !== 'bind')
    throw containerErrors.error('unsupported_option', {
      message: `The mount type "${String((entry as { type: unknown }).type)}" is not known to this version. It has bind and tmpfs.`,
      details: { field: 'mounts' },
    })
  const parsed = parseOptionObject('a bind mount', entry, {
    ...common,
    source: (value) => {
      if (typeof value === 'string' && value.startsWith('/') && !value.includes('\0')) return posix.normalize(value)
      throw bad(entry, 'the source must be an absolute path on the host')
    },
    createSource: flag,
    recursive: flag,
    propagation: (value) => {
      const known = propagations.find((word) => word === value)
      if (!known) throw bad(entry, `the propagation must be one of ${propagations.join(', ')}`)
      return known
    },
  })
  if (parsed.source === undefined) throw bad(entry, 'a bind mount needs a source')
  return {
    type: 'bind',
    source: sourceOf(parsed.source, parsed.createSource ?? false),
    target: parsed.target ?? targetOf(undefined, entry),
    readOnly: parsed.readOnly ?? false,
    propagation: parsed.propagation ?? 'rprivate',
    recursive: parsed.recursive ?? true,
  }
}

function targetOf(value: unknown, entry: unknown): string {
  if (typeof value !== 'string' || !value.startsWith('/') || value.includes('\0'))
    throw bad(entry, 'the target must be an absolute path in the container')
  const target = posix.normalize(value).replace(/\/$/, '')
  if (target === '') throw bad(entry, 'the target cannot be the root itself')
  return target
}

function sourceOf(source: string, create: boolean): string {
  if (statSync(source, { throwIfNoEntry: false }) === undefined) {
    if (!create)
      throw containerErrors.error('mount_source_missing', {
        message: `The bind mount source ${source} does not exist on this host. Make it, or set createSource: true.`,
        subject: { type: 'path', id: source },
      })
    mkdirSync(source, { recursive: true, mode: 0o755 })
  }
  // What is mounted is what the path means now, not what a link says later.
  return realpathSync(source)
}
