import { parseOptionObject } from 'tscontainer/driver-kit'

/** Options of one container's log; values are strings, as `docker run --log-opt` gives them. */
export interface JsonFileOptions {
  /** Names of labels of the container that each line carries in `attrs`. */
  readonly labels: readonly string[]
  /** Names of environment variables of the container that each line carries in `attrs`. */
  readonly env: readonly string[]
}

const names = (value: unknown): readonly string[] =>
  String(value)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

/** `labels` and `env`, each a list of names with commas between; anything else is refused by name. */
export function parseJsonFileOptions(input: Readonly<Record<string, string>>): JsonFileOptions {
  const { labels, env } = parseOptionObject('the log driver json-file', input, { labels: names, env: names })
  return { labels: labels ?? [], env: env ?? [] }
}
