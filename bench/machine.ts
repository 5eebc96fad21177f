import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

const firstLine = (file: string, args: readonly string[]): string => {
  const { status, stdout } = spawnSync(file, args, { encoding: 'utf8' })
  return status === 0 ? stdout.split('\n')[0]!.trim() : 'not installed or not running'
}

/** The cgroup set-up, because moving a process into a cgroup costs 0.1 or 8 ms depending on it. */
function cgroupState(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  const v2 = mounts.filter((fields) => fields[2] === 'cgroup2')
  const v1 = mounts.filter((fields) => fields[2] === 'cgroup')
  const shape = v1.length === 0 ? 'v2' : v2.length === 0 ? 'v1' : 'hybrid'
  return `${shape}${v2.some((fields) => fields[3]?.includes('favordynmods')) ? ', favordynmods' : ''}`
}

/** What the figures were measured on. */
export function describeMachine(): Readonly<Record<string, string>> {
  return {
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    kernel: release(),
    node: process.version,
    cgroups: cgroupState(),
    load: readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' '),
    crun: firstLine('crun', ['--version']),
    runc: firstLine('runc', ['--version']),
    docker: firstLine('docker', ['version', '--format', '{{.Server.Version}}']),
    podman: firstLine('podman', ['--version']),
  }
}
