/** An address for people: without user, password and query, which may hold a signature. */
export const safeAddress = (url: URL): string => `${url.protocol}//${url.host}${url.pathname}`

/** The same for a text that may be none. */
export function safeLocation(text: string): string {
  const bare = text.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//...@')
  return bare.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 200)
}

/**
 * What an HTTP library threw, as a cause that may be shown: its messages quote whole addresses with signed queries, and
 * its objects hold requests with their headers.
 */
export function shownCause(error: unknown): Error {
  const { message, name } = error instanceof Error ? error : { message: String(error), name: 'Error' }
  const shown: Error & { code?: unknown; syscall?: unknown } = new Error(
    message.replace(/https?:\/\/[^\s"'<>]+/g, (address) => safeLocation(address)),
  )
  shown.name = name
  if (error instanceof Error)
    for (const key of ['code', 'syscall'] as const) {
      const value: unknown = Reflect.get(error, key)
      if (typeof value === 'string') shown[key] = value
    }
  return shown
}
