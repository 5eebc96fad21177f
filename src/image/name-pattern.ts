import { imageErrors } from '../errors/image-errors.ts'
import { familiarName, familiarRepository, parseReference } from '../reference/reference.ts'

/** One sign of a text, as a pattern sees it; `many` is any number of signs but `/`. */
type Part = { readonly kind: 'many' } | { readonly kind: 'one'; readonly fits: (sign: string) => boolean }

const longest = 2048

/**
 * Makes a test of canonical names out of a pattern, as Docker's filter `reference`: the pattern must fit all of
 * `repository:tag` in its shortest form, or of the repository alone. `*` and `?` stop at `/`.
 * Source: Go's path.Match.
 *
 * @throws `image.bad_pattern`
 */
export function namePattern(pattern: string): (name: string) => boolean {
  const parts = parse(pattern)
  return (name) => {
    const reference = parseReference(name)
    return fits(parts, familiarName(reference)) || fits(parts, familiarRepository(reference))
  }
}

function parse(pattern: string): readonly Part[] {
  if (pattern === '' || pattern.length > longest) throw bad(pattern, `it has no signs, or more than ${longest}`)
  const signs = [...pattern]
  const parts: Part[] = []
  for (let at = 0; at < signs.length; at++) {
    const sign = signs[at]!
    if (sign === '*') {
      if (parts.at(-1)?.kind !== 'many') parts.push({ kind: 'many' })
    } else if (sign === '?') parts.push({ kind: 'one', fits: (other) => other !== '/' })
    else if (sign === '[') {
      const { fits, end } = parseClass(signs, at + 1, pattern)
      parts.push({ kind: 'one', fits })
      at = end
    } else {
      const meant = sign === '\\' ? signs[++at] : sign
      if (meant === undefined) throw bad(pattern, 'nothing follows its last "\\"')
      parts.push({ kind: 'one', fits: (other) => other === meant })
    }
  }
  return parts
}

/** `end` is where the closing bracket stands. */
function parseClass(signs: readonly string[], from: number, pattern: string) {
  const ranges: [string, string][] = []
  const negated = signs[from] === '^'
  let at = negated ? from + 1 : from
  const next = (): string => {
    const sign = signs[at]
    if (sign === undefined) throw bad(pattern, 'a "[" has no "]"')
    if (sign === '-' || (sign === ']' && ranges.length === 0))
      throw bad(pattern, `"${sign}" stands where a sign is due`)
    const meant = sign === '\\' ? signs[++at] : sign
    if (meant === undefined) throw bad(pattern, 'nothing follows its last "\\"')
    at++
    return meant
  }
  while (signs[at] !== ']' || ranges.length === 0) {
    const low = next()
    let high = low
    if (signs[at] === '-') {
      at++
      high = next()
    }
    ranges.push([low, high])
  }
  const fits = (sign: string) => ranges.some(([low, high]) => low <= sign && sign <= high) !== negated
  return { fits, end: at }
}

/** All positions that the parts so far can reach: no pattern takes longer than its length times the text's. */
function fits(parts: readonly Part[], text: string): boolean {
  const signs = [...text]
  let reached = new Set([0])
  for (const part of parts) {
    const next = new Set<number>()
    for (const from of reached) {
      if (part.kind === 'one') {
        const sign = signs[from]
        if (sign !== undefined && part.fits(sign)) next.add(from + 1)
        continue
      }
      for (let at = from; !next.has(at); at++) {
        next.add(at)
        if (at === signs.length || signs[at] === '/') break
      }
    }
    if (next.size === 0) return false
    reached = next
  }
  return reached.has(signs.length)
}

const bad = (pattern: string, why: string) =>
  imageErrors.error('bad_pattern', {
    message: `"${pattern.slice(0, 300)}" is not a pattern of image names: ${why}.`,
    subject: { type: 'pattern', id: pattern.slice(0, 300) },
  })
