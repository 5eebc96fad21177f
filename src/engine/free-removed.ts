import type { RemovedItem } from '../image/image-remover.ts'
import type { Digest } from '../oci/digest.ts'
import { coreTokens } from './core-tokens.ts'
import type { Parts } from './parts.ts'

/**
 * Frees blobs and layers that a removal left, unless something else needs them, and gives the bytes. The removal is
 * recorded already: this is not aborted, and what a kill leaves undone is done by the next engine that opens.
 */
export async function freeRemoved(parts: Parts, items: readonly RemovedItem[]): Promise<number> {
  if (items.length === 0) return 0
  const t = coreTokens
  const { db } = parts.get(t.state)
  const of = (kind: RemovedItem['kind']) => items.filter((item) => item.kind === kind).map(({ item }) => item)
  const { freedBytes } = await parts.get(t.content).removeIfUnneeded(of('blob'))
  const { removed, busy } = await (await parts.get(t.storage)).removeIfUnused(of('snapshot'))
  const gone = new Set(removed)
  const waiting = new Set(busy)
  db.transaction(() => {
    for (const { kind, item } of items)
      if (!waiting.has(item)) db.run('DELETE FROM removals WHERE kind = ? AND item = ?', kind, item)
  }, 'process')
  return items.reduce((sum, { item, bytes }) => sum + (gone.has(item) ? bytes : 0), freedBytes)
}

/** What a killed process had left to free. */
export async function freeLeftOver(parts: Parts): Promise<void> {
  const { db } = parts.get(coreTokens.state)
  const rows = db.all<{ kind: RemovedItem['kind']; item: Digest }>('SELECT kind, item FROM removals ORDER BY rowid')
  if (rows.length === 0) return
  try {
    await freeRemoved(
      parts,
      rows.map(({ kind, item }) => ({ kind, item, bytes: 0 })),
    )
  } catch (error) {
    parts.get(coreTokens.diagnostics)({
      level: 'warning',
      source: 'images',
      message: 'What a removed image had left could not be freed; the next open or collection tries again.',
      error,
    })
  }
}
