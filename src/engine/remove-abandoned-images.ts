import { coreTokens } from './core-tokens.ts'
import { freeRemoved } from './free-removed.ts'
import type { Parts } from './parts.ts'

/**
 * Removes images of lifetime `process` that no living process asked for (`leaving`: of others than this one). What is
 * needed yet stays for the next time. Never fails: whoever calls has something else to do.
 */
export async function removeAbandonedImages(parts: Parts, self?: 'leaving'): Promise<void> {
  const t = coreTokens
  const owners = parts.get(t.owners)
  const leaving = self && parts.get(t.owner).id
  try {
    const { items } = parts.get(t.images).removeAbandoned((owner) => owner === leaving || !owners.isAlive(owner))
    await freeRemoved(parts, items)
  } catch (error) {
    parts.get(t.diagnostics)({
      level: 'warning',
      source: 'images',
      message: 'Images of a process that ended could not be removed; the next open or collection tries again.',
      error,
    })
  }
}
