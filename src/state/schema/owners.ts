/** Processes that hold things: engines and the monitor. Alive while their lock file is locked. */
export const ownersSchema = `
CREATE TABLE owners (
  id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('engine', 'monitor')),
  pid INTEGER NOT NULL,
  start_time TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  opened_at INTEGER NOT NULL
) STRICT;
`
