import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Diagnostic } from '../../driver-kit/diagnostics.ts'
import { createHost, type Host } from '../../host/host.ts'
import type { SuiteContext } from './suite-options.ts'

/**
 * Empty directories for each check, and this machine as the host of all of them. Errors that a driver reports in the
 * background fail the check they came in.
 */
export class TemporaryContexts implements AsyncDisposable {
  readonly #below: string
  #host: Host | null = null
  #reported: Diagnostic[] = []

  /** @param below where the directories are made; default: the system's directory for temporary files. */
  constructor(below = tmpdir()) {
    this.#below = below
  }

  create(): SuiteContext {
    const root = mkdtempSync(join(this.#below, 'storage-suite-'))
    const [directory, runDirectory] = [join(root, 'driver'), join(root, 'run')]
    for (const made of [directory, runDirectory]) mkdirSync(made, { mode: 0o700 })
    const diagnostics = (diagnostic: Diagnostic) => {
      if (diagnostic.level === 'error') this.#reported.push(diagnostic)
    }
    this.#host ??= createHost({ diagnostics })
    return {
      context: { directory, runDirectory, host: this.#host, diagnostics },
      release: async () => {
        rmSync(root, { recursive: true, force: true })
        const [first] = this.#reported.splice(0)
        if (first) throw new Error(`the driver reported: ${first.message}`, { cause: first.error })
      },
    }
  }

  /** Ends the host; a later check starts another. */
  async [Symbol.asyncDispose](): Promise<void> {
    const host = this.#host
    this.#host = null
    await host?.[Symbol.asyncDispose]()
  }
}
