import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Probe } from '../../driver-kit/definition.ts'
import type { SuiteReport } from './run-suite.ts'

/** The user outside that is root inside; the next 65,535 numbers are the others. */
const firstId = 600_000

/**
 * Runs the suite of a shipped storage driver as an unprivileged user who is root of a user and a mount namespace of his
 * own, with 65,536 users, as rootless engines have it.
 */
export async function runSuiteInUserNamespace(
  driver: string,
): Promise<SuiteReport & { readonly probe: Probe; readonly stderr: string }> {
  const below = mkdtempSync(join(tmpdir(), 'user-namespace-'))
  try {
    chownSync(below, firstId, firstId)
    chmodSync(below, 0o700)
    const drop = ['--reuid', String(firstId), '--regid', String(firstId), '--clear-groups']
    const become = ['--reuid', '0', '--regid', '0', '--clear-groups', 'unshare', '--mount', '--propagation', 'slave']
    const node = [
      process.execPath,
      '--conditions=tscontainer-source',
      join(import.meta.dirname, 'user-namespace-child.ts'),
    ]
    // The mapping is written from outside before the shell goes on; executing setpriv as root then brings all rights.
    const script = 'echo ready; read -r _; exec setpriv "$@"'
    // Some machines keep /dev/fuse from their users; distributions do not.
    const device = join(below, 'fuse')
    execFileSync('mknod', ['--mode=666', device, 'c', '10', '229'])
    const open = 'mount --bind "$1" /dev/fuse; shift; exec setpriv "$@"'
    const inside = [...drop, 'unshare', '--user', 'sh', '-c', script, 'sh', ...become, ...node, driver, below]
    const child = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', open, 'sh', device, ...inside], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const stderr = text(child.stderr)
    await once(child.stdout, 'readable')
    child.stdout.read(6)
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, `0 ${firstId} 65536`)
    child.stdin.end('go\n')
    const stdout = await text(child.stdout)
    try {
      return { ...(JSON.parse(stdout) as SuiteReport & { probe: Probe }), stderr: await stderr }
    } catch (cause) {
      throw new Error(`the child ended without a report: ${stdout}${await stderr}`, { cause })
    }
  } finally {
    rmSync(below, { recursive: true, force: true })
  }
}
