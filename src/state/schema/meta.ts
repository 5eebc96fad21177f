/** Facts about the root as a whole: its id. */
export const metaSchema = `
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
`
