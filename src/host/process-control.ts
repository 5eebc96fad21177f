import { identityOf, isAlive, type ProcessIdentity, signalProcess } from './process-identity.ts'

/** Control of single processes, safe against pids that are used again. */
export interface ProcessControl {
  /** Who has this pid now; null when nobody has. */
  identityOf(pid: number): ProcessIdentity | null
  /** Whether exactly this process still runs. */
  isAlive(identity: ProcessIdentity): boolean
  /** Signals exactly this process; false when it is gone. */
  signal(identity: ProcessIdentity, signal: number): boolean
}

export const processControl: ProcessControl = { identityOf, isAlive, signal: signalProcess }
