/** Makes the error for a line that is not understood. */
export type BadWord = (why: string) => Error

/** Parts at blanks that stand outside quotes and behind no backslash. Quotes and backslashes stay. */
export function splitWords(text: string): readonly string[] {
  return text.match(/(?:\\[\s\S]|"(?:\\[\s\S]|[^"\\])*(?:"|$)|'[^']*(?:'|$)|[^\s\\"']|\\$)+/g) ?? []
}

/**
 * A word as builders of Dockerfiles read it: without its quotes and backslashes, `$name`, `${name}`, `${name:-default}`
 * and `${name:+other}` replaced. Source: Dockerfile reference, "Environment replacement".
 */
export function expandWord(word: string, variables: ReadonlyMap<string, string>, bad: BadWord): string {
  let result = ''
  for (let at = 0; at < word.length; ) {
    const [taken, text] = nextPart(word.slice(at), variables, bad)
    result += text
    at += taken
  }
  return result
}

/** How many signs were read, and what they stand for. */
type Part = readonly [taken: number, text: string]

function nextPart(rest: string, variables: ReadonlyMap<string, string>, bad: BadWord): Part {
  if (rest.startsWith('\\')) return [2, rest.slice(1, 2)]
  if (rest.startsWith('$')) return variable(rest, variables, bad)
  if (rest.startsWith("'")) {
    const end = rest.indexOf("'", 1)
    if (end < 0) throw bad('a quote has no end')
    return [end + 1, rest.slice(1, end)]
  }
  return rest.startsWith('"') ? quoted(rest, variables, bad) : [1, rest.slice(0, 1)]
}

/** In double quotes a backslash only stands before `"`, `$` and itself. */
function quoted(rest: string, variables: ReadonlyMap<string, string>, bad: BadWord): Part {
  let text = ''
  for (let at = 1; at < rest.length; ) {
    if (rest[at] === '"') return [at + 1, text]
    const escaped = /^\\(["$\\])/.exec(rest.slice(at, at + 2))?.[1]
    const [taken, part]: Part = escaped
      ? [2, escaped]
      : rest[at] === '$'
        ? variable(rest.slice(at), variables, bad)
        : [1, rest[at]!]
    text += part
    at += taken
  }
  throw bad('a quote has no end')
}

const bareName = /^\$([A-Za-z_]\w*)/
const bracedName = /^\$\{([A-Za-z_]\w*)(?:(:?[-+])((?:\\[\s\S]|[^\\}])*))?\}/

function variable(rest: string, variables: ReadonlyMap<string, string>, bad: BadWord): Part {
  const bare = bareName.exec(rest)
  if (bare) return [bare[0].length, variables.get(bare[1]!) ?? '']
  if (rest[1] !== '{') return [1, '$']
  const [whole, name = '', operator, other = ''] = bracedName.exec(rest) ?? []
  if (whole === undefined) throw bad('in the braces of a variable stands its name, perhaps with :- or :+ and a text')
  const value = variables.get(name)
  const isThere = operator?.startsWith(':') ? value !== undefined && value !== '' : value !== undefined
  const useOther = operator !== undefined && operator.endsWith('+') === isThere
  if (useOther) return [whole.length, expandWord(other, variables, bad)]
  return [whole.length, operator?.endsWith('+') ? '' : (value ?? '')]
}
