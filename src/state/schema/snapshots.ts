/**
 * Intent and reached state of every tree a storage driver holds for us. A 'making' row whose owner is dead marks a half
 * made tree.
 */
export const snapshotsSchema = `
CREATE TABLE snapshots (
  driver TEXT NOT NULL,
  id TEXT NOT NULL,
  parent TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (driver, id)
) STRICT;
CREATE TABLE drafts (
  driver TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('layer', 'container', 'view')),
  parent TEXT,
  owner TEXT,
  state TEXT NOT NULL CHECK (state IN ('making', 'ready', 'removing')),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (driver, id)
) STRICT;
CREATE INDEX drafts_parent ON drafts(driver, parent);
`
