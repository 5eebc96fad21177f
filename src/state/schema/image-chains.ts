import { chainIds } from '../../oci/chain-id.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Database } from '../database.ts'

/**
 * Gives images their chain that have layers and do not know it: those of format 1, and those that a process records
 * which had opened the root before its records were brought to format 2.
 */
export function recordChains(db: Database): void {
  const unknown = db.all<{ manifest: string }>(
    `SELECT manifest FROM images WHERE chain IS NULL AND EXISTS
       (SELECT 1 FROM image_blobs WHERE image_blobs.manifest = images.manifest AND diff_id IS NOT NULL)`,
  )
  for (const { manifest } of unknown) {
    const layers = db.all<{ diff_id: Digest }>(
      'SELECT diff_id FROM image_blobs WHERE manifest = ? AND diff_id IS NOT NULL ORDER BY position',
      manifest,
    )
    db.run(
      'UPDATE images SET chain = ? WHERE manifest = ?',
      chainIds(layers.map((layer) => layer.diff_id)).at(-1)!,
      manifest,
    )
  }
}
