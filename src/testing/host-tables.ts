import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../host/run-command.ts'
import { linkOf, namesIn, textOf } from '../host/vanishing-files.ts'
import type { HostTable, HostTableOptions } from './leak-check.ts'

type Reader = (options: HostTableOptions) => readonly string[] | Promise<readonly string[]>

/** How each table is read. */
export const tableReaders: Readonly<Record<HostTable, Reader>> = {
  processes: () =>
    pids()
      .map((pid) => describeProcess(pid))
      .filter((line) => line !== ''),
  children: ({ pid = process.pid }) =>
    descendants(pid)
      .map((child) => describeProcess(child))
      .filter((line) => line !== ''),
  mounts: () => mounts(),
  links: () => namesIn('/sys/class/net'),
  namespaces: () => namespaces('net'),
  firewall: () => firewallTables(),
  cgroups: () => cgroups('/sys/fs/cgroup'),
  loopDevices: () =>
    namesIn('/sys/block').filter(
      (name) => name.startsWith('loop') && textOf(`/sys/block/${name}/loop/backing_file`, 'utf8') !== '',
    ),
  mapperDevices: () =>
    namesIn('/sys/block')
      .filter((name) => name.startsWith('dm-'))
      .map((name) => textOf(`/sys/block/${name}/dm/name`, 'utf8').trim()),
  descriptors: ({ pid = process.pid }) => descriptors(pid),
  files: ({ directories = [] }) => directories.flatMap((directory) => files(directory)),
}

const pids = (): number[] =>
  namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** Fields of /proc/<pid>/stat after the name. Source: proc_pid_stat(5). */
function statOf(pid: number): { name: string; state: string; parent: number; start: string } | null {
  const text = textOf(`/proc/${pid}/stat`, 'utf8')
  const close = text.lastIndexOf(')')
  if (close < 0) return null
  const fields = text.slice(close + 2).split(' ')
  return {
    name: text.slice(text.indexOf('(') + 1, close),
    state: fields[0]!,
    parent: Number(fields[1]),
    start: fields[19]!,
  }
}

function describeProcess(pid: number): string {
  const stat = statOf(pid)
  return stat && stat.parent !== 2 && pid !== 2
    ? `${pid} ${stat.name} started ${stat.start}${stat.state === 'Z' ? ' (zombie)' : ''}`
    : ''
}

function descendants(of: number): number[] {
  const parents = new Map(pids().map((pid) => [pid, statOf(pid)?.parent]))
  const found: number[] = []
  for (const pid of parents.keys()) {
    let at: number | undefined = parents.get(pid)
    while (at !== undefined && at !== of && at > 1) at = parents.get(at)
    if (at === of) found.push(pid)
  }
  return found
}

/** One process or thread in each namespace of a kind that can be seen from here. */
function namespaceHolders(kind: 'net' | 'mnt'): ReadonlyMap<string, string> {
  const holders = new Map<string, string>()
  for (const pid of pids())
    for (const thread of namesIn(`/proc/${pid}/task`)) {
      const path = `/proc/${pid}/task/${thread}`
      const name = linkOf(`${path}/ns/${kind}`)
      if (name !== '' && !holders.has(name)) holders.set(name, path)
    }
  return holders
}

const namespaces = (kind: 'net' | 'mnt'): string[] => [...namespaceHolders(kind).keys()]

/** Mounts of every mount namespace that holds a process or thread; a namespace is named by its inode. */
function mounts(): string[] {
  return [...namespaceHolders('mnt')].flatMap(([namespace, path]) =>
    textOf(`${path}/mountinfo`, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const fields = line.split(' ')
        return `${namespace} ${fields[4]} ${line
          .slice(line.indexOf(' - ') + 3)
          .split(' ')
          .slice(0, 2)
          .join(' ')}`
      }),
  )
}

function descriptors(pid: number): string[] {
  return namesIn(`/proc/${pid}/fd`)
    .map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
    .filter((target) => target !== '' && !target.startsWith(`/proc/${pid}/fd`))
    .map((target) => target.replace(/^(socket|pipe|anon_inode):.*/, '$1'))
}

function files(directory: string): string[] {
  const found: string[] = []
  const visit = (path: string) => {
    for (const name of namesIn(path)) {
      const child = join(path, name)
      found.push(child)
      if (isDirectory(child)) visit(child)
    }
  }
  visit(directory)
  return found
}

/** Every cgroup directory, v1 hierarchies and v2 alike. */
function cgroups(root: string): string[] {
  return namesIn(root).flatMap((name) => {
    const path = join(root, name)
    return isDirectory(path) ? [path, ...cgroups(path)] : []
  })
}

async function firewallTables(): Promise<string[]> {
  const { stdout } = await runCommand('nft', ['list', 'tables'])
  return stdout.split('\n').filter((line) => line !== '')
}

function isDirectory(path: string): boolean {
  try {
    return lstatSync(path).isDirectory()
  } catch {
    return false
  }
}
