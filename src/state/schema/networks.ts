/** Networks and the addresses claimed on them. A claim is an insert: two owners cannot both succeed. */
export const networksSchema = `
CREATE TABLE networks (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  driver TEXT NOT NULL,
  spec TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE endpoints (
  id TEXT PRIMARY KEY,
  network TEXT NOT NULL REFERENCES networks(id),
  container TEXT NOT NULL,
  interface TEXT NOT NULL,
  mac TEXT NOT NULL,
  attachment TEXT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX endpoints_container ON endpoints(container);
CREATE TABLE addresses (
  network TEXT NOT NULL REFERENCES networks(id),
  address TEXT NOT NULL,
  endpoint TEXT NOT NULL REFERENCES endpoints(id) ON DELETE CASCADE,
  PRIMARY KEY (network, address)
) STRICT;
`
