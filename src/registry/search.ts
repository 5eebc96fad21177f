import { isEngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { familiarRepository } from '../reference/reference.ts'
import type { EndpointRequests } from './endpoint-requests.ts'
import { readList } from './list-pages.ts'

/** What to look for, and where. */
export interface ImageSearchOptions extends CallOptions {
  /** `host[:port]`. Default `docker.io`. */
  readonly registry?: string | undefined
  /** At most so many results. Default 25. */
  readonly limit?: number | undefined
  /** Only official images, or only others. Default: all. */
  readonly official?: boolean | undefined
  /** Only images with so many stars or more. Default 0. */
  readonly minStars?: number | undefined
}

/** A repository that a registry's search has found. */
export interface FoundRepository {
  /** As it is pulled: `busybox`, `user/app`, `registry.example/app`. */
  readonly name: string
  /** Empty where the registry keeps none. */
  readonly description: string
  /** Null where nobody gives stars. */
  readonly stars: number | null
  /** Kept by the makers of Docker Hub. */
  readonly official: boolean
  /** Built by the registry from a source repository. */
  readonly automated: boolean
}

const PAGE = 100
const MOST_PAGES = 100
const MOST_BYTES = 4 << 20

/** Answers of registries that have nothing of the kind. */
const absent: readonly unknown[] = [400, 404, 405, 410, 501]

/**
 * What a registry finds: by Docker Hub's search, else by the names in its catalogue. `requests` may go to another host
 * than images come from.
 *
 * @throws `registry.no_search`
 */
export async function* searchRegistry(
  requests: EndpointRequests,
  term: string,
  options: ImageSearchOptions,
): AsyncGenerator<FoundRepository> {
  const { limit = 25, official, minStars = 0 } = options
  let count = 0
  for await (const found of findAll(requests, term, options)) {
    if (official !== undefined && found.official !== official) continue
    if ((found.stars ?? 0) < minStars) continue
    if (count++ >= limit) return
    yield found
  }
}

async function* findAll(requests: EndpointRequests, term: string, call: CallOptions): AsyncGenerator<FoundRepository> {
  try {
    yield* byIndex(requests, term, call)
  } catch (error) {
    if (!isAbsent(error)) throw error
    try {
      yield* byCatalogue(requests, term, call)
    } catch (second) {
      if (!isAbsent(second)) throw second
      const { registry } = requests.endpoint
      throw registryErrors.error('no_search', {
        message: `${registry} can neither be searched nor lists its repositories.`,
        subject: { type: 'registry', id: registry },
        details: { registry },
      })
    }
  }
}

/** Source: Docker Registry v1 API, "Search", which Docker Hub still serves. */
async function* byIndex(requests: EndpointRequests, term: string, call: CallOptions): AsyncGenerator<FoundRepository> {
  const { registry } = requests.endpoint
  const what = `Searching ${registry}`
  const seen = new Set<string>()
  for (let page = 1; page <= MOST_PAGES; page++) {
    const path = `v1/search?${new URLSearchParams({ q: term, n: String(PAGE), page: String(page) })}`
    const answer = await requests.ask(
      { method: 'GET', path, scope: '', expected: [200], what },
      { signal: call.signal },
    )
    const results = resultsOf(await answer.bytes(MOST_BYTES))
    if (results === null) throw requests.bad(what, 'answered with something else than search results')
    const known = seen.size
    for (const result of results) {
      const found = asFound(result, registry)
      if (!found || seen.has(found.name)) continue
      seen.add(found.name)
      yield found
    }
    if (seen.size === known || results.length < PAGE) return
  }
}

async function* byCatalogue(
  requests: EndpointRequests,
  term: string,
  call: CallOptions,
): AsyncGenerator<FoundRepository> {
  const { registry } = requests.endpoint
  const what = `Listing the repositories of ${registry}`
  const list = { path: 'v2/_catalog?n=1000', key: 'repositories', scope: 'registry:catalog:*', what } as const
  const wanted = term.toLowerCase()
  for await (const path of readList(requests, list, { signal: call.signal }))
    if (path.includes(wanted)) yield { ...unstarred, name: nameOf(registry, path) }
}

const unstarred = { description: '', stars: null, official: false, automated: false } as const

const isAbsent = (error: unknown): boolean => isEngineError(error) && absent.includes(error.details['status'])

function resultsOf(bytes: Buffer): readonly unknown[] | null {
  try {
    const { results } = JSON.parse(bytes.toString()) as { readonly results?: unknown }
    return Array.isArray(results) ? results : null
  } catch {
    return null
  }
}

function asFound(value: unknown, registry: string): FoundRepository | null {
  const { name, description, star_count, is_official, is_automated } = (value ?? {}) as Record<string, unknown>
  if (typeof name !== 'string' || name === '') return null
  return {
    name: nameOf(registry, name),
    description: typeof description === 'string' ? description : '',
    stars: typeof star_count === 'number' ? star_count : null,
    official: is_official === true,
    automated: is_automated === true,
  }
}

function nameOf(registry: string, path: string): string {
  const whole = registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path
  return familiarRepository({ domain: registry, path: whole, tag: null, digest: null })
}
