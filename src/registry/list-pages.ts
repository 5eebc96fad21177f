import type { CallOptions } from '../lifetime/call-options.ts'
import type { Scope } from './authorizer.ts'
import type { EndpointRequests } from './endpoint-requests.ts'
import type { Answer } from './transport.ts'

export interface ListRequest {
  /** Below the endpoint's base. */
  readonly path: string
  /** The field of the answer that holds the names. */
  readonly key: 'tags' | 'repositories'
  readonly scope: Scope
  readonly what: string
}

const MOST_LIST_BYTES = 8 << 20
const MOST_LIST_PAGES = 1000
/** Of all pages: their names are kept, to see where a list goes in a circle. */
const MOST_BYTES = 64 << 20

/**
 * Names that a registry lists in pages; the next page is asked for when it is needed. Source: RFC 5988, `Link`.
 *
 * @throws `registry.bad_answer` for a list without end: a part of it is not told as the whole
 */
export async function* readList(
  requests: EndpointRequests,
  { path, key, scope, what }: ListRequest,
  call?: CallOptions,
): AsyncGenerator<string> {
  const found = new Set<string>()
  let next: string | URL | null = path
  let left = MOST_BYTES
  for (let page = 0; next !== null; page++) {
    if (page >= MOST_LIST_PAGES || left <= 0) throw requests.bad(what, `has listed ${found.size} ${key}, and goes on`)
    const answer: Answer = await requests.ask({ method: 'GET', path: next, scope, expected: [200], what }, call)
    const bytes = await answer.bytes(MOST_LIST_BYTES)
    left -= bytes.length
    const names = namesOf(bytes, key)
    if (names === null) throw requests.bad(what, `answered with something else than a list of ${key}`)
    const known = found.size
    for (const name of names)
      if (!found.has(name)) {
        found.add(name)
        yield name
      }
    // A page that says nothing new would be followed by itself.
    next = found.size > known ? followLink(answer) : null
  }
}

function namesOf(bytes: Buffer, key: string): readonly string[] | null {
  let said: unknown
  try {
    said = JSON.parse(bytes.toString())
  } catch {
    return null
  }
  if (typeof said !== 'object' || said === null) return null
  const names: unknown = Reflect.get(said, key) ?? []
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : null
}

/** The next page is where this one was: behind a proxy some registries name a host or scheme that only they know. */
function followLink(answer: Answer): URL | null {
  const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header('link') ?? '')?.[1]
  if (link === undefined || !URL.canParse(link, answer.url.href)) return null
  const { pathname, search } = new URL(link, answer.url.href)
  const next = new URL(answer.url.href)
  next.pathname = pathname
  next.search = search
  return next
}
