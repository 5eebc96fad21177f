/**
 * Blobs that are whole on disk; leases keep blobs from collection while an operation has not yet named them. A lease
 * ends with its owner.
 */
export const contentSchema = `
CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE leases (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL REFERENCES owners(id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE lease_items (
  lease TEXT NOT NULL REFERENCES leases(id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('blob', 'snapshot')),
  item TEXT NOT NULL,
  PRIMARY KEY (lease, kind, item)
) STRICT;
CREATE INDEX lease_items_item ON lease_items(kind, item);
`
