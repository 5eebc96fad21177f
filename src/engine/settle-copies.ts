import { bootId } from '../host/process-identity.ts'
import type { OwnerRecord } from '../state/owners.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'

/**
 * A change is written to the copy of a record before the record: who was killed between the two left a copy that says
 * more than was ever acknowledged. After a loss of power it may be the records that say less; that is left to `check`.
 */
export async function settleCopies(parts: Parts, dead: readonly OwnerRecord[]): Promise<void> {
  if (!dead.some((owner) => owner.bootId === bootId())) return
  const t = coreTokens
  parts.get(t.images).settleIndex()
  const { records } = await parts.get(t.containerServices)
  records.settleCopies()
}
