import type { Database } from '../database.ts'
import { recordChains } from './image-chains.ts'

/**
 * Images know the top of their chain, so that a collection can ask in one transaction who needs a layer, and the image
 * they were made from. `layers`: what the regular files of a layer hold, known once it was unpacked. `removals`: what
 * may have become unneeded by a removal that has not yet been finished. `image_owners`: processes that images go with, by the
 * images' ids; rows outlive their owners until the image is removed.
 */
const tables = `
ALTER TABLE images ADD COLUMN chain TEXT;
ALTER TABLE images ADD COLUMN parent TEXT;
CREATE INDEX images_chain ON images(chain);
CREATE INDEX images_parent ON images(parent);
CREATE TABLE layers (
  diff_id TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE removals (
  kind TEXT NOT NULL CHECK (kind IN ('blob', 'snapshot')),
  item TEXT NOT NULL,
  PRIMARY KEY (kind, item)
) STRICT;
CREATE TABLE image_owners (
  image TEXT NOT NULL,
  owner TEXT NOT NULL,
  PRIMARY KEY (image, owner)
) STRICT;
`

/** Format 1 to format 2. */
export function version2(db: Database): void {
  db.exec(tables)
  recordChains(db)
}
