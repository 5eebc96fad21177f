import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Diagnostic } from '../../driver-kit/diagnostics.ts'
import { createHost } from '../../host/host.ts'
import type { SuiteContext } from './suite-options.ts'

/** Empty directories, and this machine as the host. Errors that drivers report in the background fail the check. */
export async function temporaryContext(): Promise<SuiteContext> {
  const root = mkdtempSync(join(tmpdir(), 'storage-suite-'))
  const [directory, runDirectory] = [join(root, 'driver'), join(root, 'run')]
  for (const made of [directory, runDirectory]) mkdirSync(made, { mode: 0o700 })
  const reported: Diagnostic[] = []
  const diagnostics = (diagnostic: Diagnostic) => {
    if (diagnostic.level === 'error') reported.push(diagnostic)
  }
  const host = createHost({ diagnostics })
  return {
    context: { directory, runDirectory, host, diagnostics },
    async release() {
      await host[Symbol.asyncDispose]()
      rmSync(root, { recursive: true, force: true })
      if (reported[0]) throw new Error(`the driver reported: ${reported[0].message}`, { cause: reported[0].error })
    },
  }
}
