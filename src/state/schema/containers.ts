/** `spec` never changes after create (JSON); the rest is the state machine. `holder` is the owner that runs it. */
export const containersSchema = `
CREATE TABLE containers (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  lifetime TEXT NOT NULL CHECK (lifetime IN ('process', 'detached')),
  owner TEXT,
  holder TEXT,
  keep INTEGER NOT NULL DEFAULT 0,
  image TEXT NOT NULL,
  spec TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('creating', 'created', 'starting', 'running', 'paused', 'exited', 'removing')),
  pid INTEGER,
  pid_start TEXT,
  exit_code INTEGER,
  exit_signal TEXT,
  oom_killed INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  restart_count INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER
) STRICT;
CREATE INDEX containers_image ON containers(image);
`
