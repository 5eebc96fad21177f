import type { CallOptions } from '../lifetime/call-options.ts'
import { childrenFirst } from '../snapshot/snapshot-collector.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'

/** Gives back the ids of the containers it removed. */
export async function resetEngine(parts: Parts, call?: CallOptions): Promise<readonly string[]> {
  const t = coreTokens
  const core = await parts.get(t.containers)
  const removed: string[] = []
  for (const record of core.services.records.all()) {
    await core.remove(record, { force: true }, call)
    removed.push(record.id)
  }
  const images = parts.get(t.images)
  // Images without a name go with the last one that was made from them.
  for (const { id } of childrenFirst(images.list())) if (images.find(id)) images.remove(id, { force: true })
  await (await parts.get(t.storage)).reset(call)
  await (await parts.get(t.networks)).reset(call)
  return removed
}
