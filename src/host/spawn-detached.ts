import type { ProcessExit } from './launcher.ts'

export interface DetachedRequest {
  /** Absolute path of the program. */
  readonly file: string
  readonly args: readonly string[]
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** Default `/`. */
  readonly cwd?: string
  /** Descriptors that become 0, 1, 2, ...; the caller closes its own copies. */
  readonly stdio: readonly (number | 'ignore')[]
}

export interface DetachedProcess {
  readonly pid: number
  /** For noticing a failed start; waiting for it does not keep this process alive. */
  readonly exited: Promise<ProcessExit>
}

/**
 * Starts a program that outlives this process and whatever ends it: own session, outside the caller's cgroup (so that
 * the end of a CI job or a service unit does not take it along), umask 022.
 */
export async function spawnDetached(_request: DetachedRequest): Promise<DetachedProcess> {
  throw new Error('being written')
}
