import type { Answer } from './transport.ts'

/** How many pulls a registry still allows. */
export interface RateLimit {
  readonly limit: number | null
  readonly remaining: number
  /** The time that both are for. Null: the registry does not say. */
  readonly windowSeconds: number | null
}

/**
 * What the headers of an answer say: `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 76;w=21600`.
 * Source: Docker Hub, "Pull usage and limits"; draft-ietf-httpapi-ratelimit-headers.
 */
export function rateLimitOf(answer: Pick<Answer, 'header'>): RateLimit | null {
  const remaining = parse(answer.header('ratelimit-remaining'))
  if (!remaining) return null
  const limit = parse(answer.header('ratelimit-limit'))
  return {
    limit: limit?.count ?? null,
    remaining: remaining.count,
    windowSeconds: remaining.window ?? limit?.window ?? null,
  }
}

function parse(header: string | null): { readonly count: number; readonly window: number | null } | null {
  const [, count, window] = /^\s*(\d{1,9})\s*(?:;.*?\bw=(\d{1,9}))?/.exec(header ?? '') ?? []
  return count === undefined ? null : { count: Number(count), window: window === undefined ? null : Number(window) }
}

/** For people: `76 of 100 pulls are left, for 6 h`. */
export function describeRateLimit({ limit, remaining, windowSeconds }: RateLimit): string {
  const hours = windowSeconds === null ? '' : `, for ${Math.round((windowSeconds / 3600) * 10) / 10} h`
  return `${remaining}${limit === null ? '' : ` of ${limit}`} pulls are left${hours}`
}
