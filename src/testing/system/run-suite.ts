import type { StorageSuiteOptions } from '../index.ts'
import { storageDriverSuite } from '../index.ts'

/** Names of the checks that passed; names and errors of those that failed. */
export interface SuiteReport {
  readonly passed: readonly string[]
  readonly failed: readonly string[]
}

/** Runs the groups of the suite that are asked for (default: all), one check after the other, without a test runner. */
export async function runStorageSuite<Options>(
  options: Omit<StorageSuiteOptions<Options>, 'runner'>,
  wanted?: readonly string[],
): Promise<SuiteReport> {
  const checks: { readonly name: string; readonly body: () => Promise<void> }[] = []
  let group = ''
  const runner = {
    describe(name: string, body: () => void) {
      group = name
      body()
    },
    test(name: string, body: () => Promise<void>) {
      if (!wanted || wanted.includes(group) || name.startsWith('skipped checks')) checks.push({ name, body })
    },
  }
  storageDriverSuite({ ...options, runner })
  const [passed, failed]: [string[], string[]] = [[], []]
  for (const { name, body } of checks) {
    try {
      await body()
      passed.push(name)
    } catch (error) {
      failed.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }
  return { passed, failed }
}
