import type { SuiteGroup } from '../suite.ts'
import { deletedThenReplaced } from './deleted-then-replaced.ts'
import { removedWhileStaged } from './removed-while-staged.ts'

/** Faults that drivers have had, one file each. */
export const regressionGroup: SuiteGroup = {
  name: 'regressions',
  checks: () => [deletedThenReplaced, removedWhileStaged],
}
