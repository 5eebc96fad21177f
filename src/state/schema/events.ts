/** The event journal: sequence numbers never repeat. */
export const eventsSchema = `
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  type TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  attributes TEXT NOT NULL
) STRICT;
CREATE INDEX events_time ON events(time);
`
