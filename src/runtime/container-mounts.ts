import { posix } from 'node:path'
import { runtimeErrors } from '../errors/runtime-errors.ts'
import type { RuntimeMount } from '../oci/runtime-spec.ts'

export type Propagation = 'rprivate' | 'private' | 'rslave' | 'slave' | 'rshared' | 'shared'

/** A mount that the user asked for, every default filled in. */
export type UserMount =
  | {
      readonly type: 'bind'
      /** Absolute path on the host; exists. */
      readonly source: string
      /** Absolute path in the container. */
      readonly target: string
      readonly readOnly: boolean
      readonly propagation: Propagation
      /** Whether mounts below the source come along. */
      readonly recursive: boolean
    }
  | {
      readonly type: 'tmpfs'
      readonly target: string
      readonly readOnly: boolean
      /** Null: the kernel's default, half of the memory. */
      readonly sizeBytes: number | null
      readonly mode: number
    }

/** Files of the engine that containers see in /etc, as host paths; null for the image's own. */
export interface NetworkFiles {
  readonly resolvConf: string | null
  readonly hosts: string | null
  readonly hostname: string | null
}

export interface ContainerMountsInput {
  readonly userMounts: readonly UserMount[]
  readonly files: NetworkFiles
  readonly shmBytes: number
  /** /sys and the cgroups are to be written to. Default false. */
  readonly privileged?: boolean
}

/**
 * All mounts of a container in the order the runtime makes them: the kernel's file systems, then the files of the
 * engine, then the user's by depth, so that a mount never hides one that was asked for below it. A user's mount
 * replaces the default one on the same target.
 *
 * @throws runtime.bad_mount
 */
export function containerMounts(input: ContainerMountsInput): readonly RuntimeMount[] {
  const user = input.userMounts.map(userMount)
  const targets = new Set<string>()
  for (const { destination } of user) {
    if (targets.has(destination)) throw badMount(destination, `Two mounts have the target ${destination}.`)
    targets.add(destination)
  }
  const defaults = [...kernelMounts(input.shmBytes, input.privileged ? 'rw' : 'ro'), ...fileMounts(input.files)]
  return [
    ...defaults.filter(({ destination }) => !targets.has(destination)),
    ...user.sort((a, b) => depth(a.destination) - depth(b.destination)),
  ]
}

const depth = (path: string) => path.split('/').length

// What Docker mounts, with its options.
const kernelMounts = (shmBytes: number, system: 'ro' | 'rw'): readonly RuntimeMount[] => [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', system] },
  { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [system, 'nosuid', 'noexec', 'nodev'] },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shmBytes}`],
  },
]

function fileMounts(files: NetworkFiles): readonly RuntimeMount[] {
  const mount = (source: string | null, destination: string): readonly RuntimeMount[] =>
    source === null ? [] : [{ destination, type: 'bind', source, options: ['rbind', 'rprivate', 'rw'] }]
  return [
    ...mount(files.resolvConf, '/etc/resolv.conf'),
    ...mount(files.hostname, '/etc/hostname'),
    ...mount(files.hosts, '/etc/hosts'),
  ]
}

function userMount(mount: UserMount): RuntimeMount {
  const destination = cleanTarget(mount.target)
  if (mount.type === 'tmpfs')
    return {
      destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: [
        'nosuid',
        'nodev',
        'noexec',
        mount.readOnly ? 'ro' : 'rw',
        `mode=${mount.mode.toString(8)}`,
        ...(mount.sizeBytes === null ? [] : [`size=${mount.sizeBytes}`]),
      ],
    }
  if (!mount.source.startsWith('/'))
    throw badMount(
      mount.source,
      `The source of a bind mount must be an absolute path, got ${JSON.stringify(mount.source)}.`,
    )
  return {
    destination,
    type: 'bind',
    source: mount.source,
    options: [mount.recursive ? 'rbind' : 'bind', mount.propagation, mount.readOnly ? 'ro' : 'rw'],
  }
}

function cleanTarget(target: string): string {
  if (!target.startsWith('/') || target.includes('\0'))
    throw badMount(
      target,
      `The target of a mount must be an absolute path in the container, got ${JSON.stringify(target)}.`,
    )
  const clean = posix.normalize(target)
  const bare = clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean
  if (bare === '/') throw badMount(target, 'A mount cannot replace the root of the container.')
  return bare
}

const badMount = (id: string, message: string) =>
  runtimeErrors.error('bad_mount', { message, subject: { type: 'mount', id } })
