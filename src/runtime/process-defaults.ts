import type { RuntimeCapabilities, RuntimeDeviceRule } from '../oci/runtime-spec.ts'

/** The capabilities that Docker leaves to a container. */
export const defaultCapabilities: readonly string[] = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
]

/** Capability sets of a process: others than root get none until they execute a file that grants some, as with execve(2). */
export function capabilitySets(uid: number, names: readonly string[] = defaultCapabilities): RuntimeCapabilities {
  return uid === 0 ? { bounding: names, effective: names, permitted: names } : { bounding: names }
}

/** Hidden from containers: what shows or changes the state of the whole machine. */
export const maskedPaths: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
]

export const readonlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
]

const device = (major: number, minor: number | undefined): RuntimeDeviceRule => ({
  allow: true,
  type: 'c',
  major,
  ...(minor !== undefined && { minor }),
  access: 'rwm',
})

/** Devices may be made (mknod) but not used, except null, zero, full, random, urandom, tty, console, ptmx and terminals. */
export const deviceRules: readonly RuntimeDeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  device(1, 3),
  device(1, 5),
  device(1, 7),
  device(1, 8),
  device(1, 9),
  device(5, 0),
  device(5, 1),
  device(5, 2),
  device(136, undefined),
]
