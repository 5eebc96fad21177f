/** Makes a value on first use and keeps it; a failing `make` is tried again by the next use. */
export function memo<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
