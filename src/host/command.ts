import type { CallOptions } from '../lifetime/call-options.ts'

export interface CommandOptions extends CallOptions {
  readonly input?: string | Uint8Array | undefined
  /** Added to this process's environment and `LC_ALL=C`. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Default `/`. */
  readonly cwd?: string | undefined
  /** Milliseconds; default 60,000. */
  readonly timeoutMs?: number | undefined
  /** Exit codes that are no failure. Default [0]. */
  readonly accept?: readonly number[] | undefined
  /** Bytes of stdout and stderr together; more is a failure. Default 64 MiB. */
  readonly maxOutputBytes?: number | undefined
}

/** How a program ended and what it wrote. */
export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}
