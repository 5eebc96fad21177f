import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { availableControllers, hierarchies } from './cgroup/hierarchy.ts'
import type { KernelFeatures } from './kernel.ts'
import { memo } from './memo.ts'
import { bootId } from './process-identity.ts'
import { hasSystemd } from './systemd.ts'

/** By number. Source: linux/capability.h. */
export const capabilityNames: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`)

/** Names of a capability set as /proc/<pid>/status prints it, in hexadecimal. */
export function parseCapabilities(hex: string): string[] {
  const bits = BigInt(`0x${hex}`)
  return capabilityNames.filter((_, number) => (bits >> BigInt(number)) & 1n)
}

function readOrEmpty(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** Looks once and remembers: none of it changes while a process runs. */
export const readKernelFeatures: () => KernelFeatures = memo(() => {
  const status = readFileSync('/proc/self/status', 'utf8')
  return {
    release: release(),
    architecture: process.arch,
    bootId: bootId(),
    cgroup: hierarchies().mode,
    controllers: availableControllers(),
    systemd: hasSystemd(),
    seccomp: /^Seccomp:/m.test(status),
    userNamespaces:
      existsSync('/proc/self/ns/user') && Number(readOrEmpty('/proc/sys/user/max_user_namespaces').trim() || 0) > 0,
    appArmor: readOrEmpty('/sys/module/apparmor/parameters/enabled').startsWith('Y'),
    capabilities: parseCapabilities(/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'),
    filesystems: readFileSync('/proc/filesystems', 'utf8')
      .split('\n')
      .map((line) => line.split('\t').at(-1)!.trim())
      .filter((name) => name !== ''),
  }
})
