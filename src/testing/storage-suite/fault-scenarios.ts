import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CallOptions } from '../../lifetime/call-options.ts'
import { draftId, type StorageCase, snapshotId } from './suite-case.ts'

/** One call of a driver, with what must stand before it. Names carry `n`, so that it can be tried many times. */
export interface FaultScenario {
  readonly name: string
  before(given: StorageCase, n: number): Promise<void>
  call(given: StorageCase, n: number, options: CallOptions): Promise<unknown>
  /** What the call changes in the list: lines that go and lines that come. */
  readonly gone: (n: number) => readonly string[]
  readonly come: (n: number) => readonly string[]
}

const base = (n: number) => `base${n}`
const none = () => []

const withBase = async (given: StorageCase, n: number): Promise<void> => {
  await given.layer(base(n), null, (root) => writeFileSync(join(root, 'file'), 'x'))
}

const withDraft = async (given: StorageCase, n: number): Promise<void> => {
  await withBase(given, n)
  await given.mounted(await given.driver.prepare(draftId(`d${n}`), snapshotId(base(n))), (root) =>
    writeFileSync(join(root, 'more'), 'y'),
  )
}

export const faultScenarios: readonly FaultScenario[] = [
  {
    name: 'prepare of an empty draft',
    before: async () => {},
    call: ({ driver }, n, options) => driver.prepare(draftId(`d${n}`), null, options),
    gone: none,
    come: (n) => [`draft d${n} < -`],
  },
  {
    name: 'prepare upon a snapshot',
    before: withBase,
    call: ({ driver }, n, options) => driver.prepare(draftId(`d${n}`), snapshotId(base(n)), options),
    gone: none,
    come: (n) => [`draft d${n} < ${base(n)}`],
  },
  {
    name: 'view',
    before: withBase,
    call: ({ driver }, n, options) => driver.view(draftId(`d${n}`), snapshotId(base(n)), options),
    gone: none,
    come: (n) => [`view d${n} < ${base(n)}`],
  },
  {
    name: 'commit',
    before: withDraft,
    call: ({ driver }, n, options) => driver.commit(draftId(`d${n}`), snapshotId(`s${n}`), options),
    gone: (n) => [`draft d${n} < ${base(n)}`],
    come: (n) => [`snapshot s${n} < ${base(n)}`],
  },
  {
    name: 'remove of a draft',
    before: withDraft,
    call: ({ driver }, n, options) => driver.remove(draftId(`d${n}`), options),
    gone: (n) => [`draft d${n} < ${base(n)}`],
    come: none,
  },
  {
    name: 'remove of a snapshot',
    before: withBase,
    call: ({ driver }, n, options) => driver.remove(snapshotId(base(n)), options),
    gone: (n) => [`snapshot ${base(n)} < -`],
    come: none,
  },
]

/** How many calls of the host the scenario makes when nothing fails. */
export async function countCalls(given: StorageCase, scenario: FaultScenario): Promise<number> {
  await scenario.before(given, 0)
  const plan = given.arm(0)
  await scenario.call(given, 0, {})
  return plan.calls.length
}
