import { runtimeErrors } from '../errors/runtime-errors.ts'

/** What a container has of its own besides the settings of its network. Source: namespaces(7), ipc_namespaces(7). */
const ofIpc: ReadonlySet<string> = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
])

/**
 * Checks kernel settings of a container, by name with dots (`net.core.somaxconn`).
 *
 * @throws runtime.bad_sysctl
 */
export function checkSysctls(sysctls: Readonly<Record<string, unknown>>, network: 'own' | 'host'): void {
  for (const [name, value] of Object.entries(sysctls)) {
    if (typeof value !== 'string' || value === '' || /[\0\n]/.test(value))
      throw bad(name, `The value of ${name} must be text of one line, got ${JSON.stringify(value)}.`)
    if (!/^[a-z0-9_]+([./][A-Za-z0-9_-]+)+$/.test(name)) throw bad(name, `"${name}" is no name of a kernel setting.`)
    if (name.startsWith('net.') && network === 'own') continue
    if (name.startsWith('net.'))
      throw bad(name, `${name} would be set for the whole machine: the container has the network of the host.`)
    if (ofIpc.has(name) || name.startsWith('fs.mqueue.')) continue
    throw bad(name, `${name} is a setting of the whole machine, not of a container. Set it on the host.`)
  }
}

const bad = (name: string, message: string) =>
  runtimeErrors.error('bad_sysctl', { message, subject: { type: 'sysctl', id: name }, details: { name } })
