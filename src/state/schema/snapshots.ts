/**
 * Every tree that a storage driver holds for us. A snapshot's row is written when it is committed. A draft's row is
 * written before the tree is made and deleted after it is gone, so that a tree without a row is nobody's.
 */
export const snapshotsSchema = `
CREATE TABLE snapshots (
  driver TEXT NOT NULL,
  id TEXT NOT NULL,
  parent TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (driver, id)
) STRICT;
CREATE INDEX snapshots_parent ON snapshots(driver, parent);
CREATE TABLE drafts (
  driver TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('layer', 'container', 'view')),
  parent TEXT,
  owner TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (driver, id)
) STRICT;
CREATE INDEX drafts_parent ON drafts(driver, parent);
`
