/** One way to authenticate that a registry offers in `WWW-Authenticate`. */
export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const quoted = /"((?:[^"\\]|\\.)*)"/y

/**
 * Reads a `WWW-Authenticate` header, which may hold several challenges. What does not fit the grammar ends the list.
 * Source: RFC 9110, 11.6.1.
 */
export function parseChallenges(header: string): Challenge[] {
  const text = header.slice(0, 8192)
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match) at = pattern.lastIndex
    return match
  }
  const skip = () => {
    while (text[at] === ' ' || text[at] === '\t' || text[at] === ',') at++
  }
  const found: Challenge[] = []
  for (skip(); at < text.length; skip()) {
    const scheme = take(token)?.[0]
    if (scheme === undefined) break
    const parameters: Record<string, string> = {}
    found.push({ scheme: scheme.toLowerCase(), parameters })
    while (at < text.length) {
      skip()
      const start = at
      const name = take(token)?.[0]
      if (name === undefined || text[at] !== '=') {
        // The next scheme.
        at = start
        break
      }
      at++
      const value = text[at] === '"' ? take(quoted)?.[1]?.replaceAll(/\\(.)/g, '$1') : take(token)?.[0]
      if (value === undefined) return found
      parameters[name.toLowerCase()] = value
    }
  }
  return found
}
