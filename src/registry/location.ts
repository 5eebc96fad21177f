/** Serves the images that are called docker.io, a name that is no host that serves them. */
export const hubHost = 'registry-1.docker.io'

/** Serves its search. */
export const hubSearchHost = 'index.docker.io'

const namePattern =
  /^((?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?)((?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)\/?$/

/**
 * Where the images of a registry lie, in one form; null: it cannot be read.
 *
 * - `host[:port][/prefix]`, as names of images begin: HTTPS, and the prefix becomes part of the repositories' paths
 *   (`harbor.example/hub` makes `docker.io/library/busybox` `harbor.example/hub/library/busybox`).
 * - a URL: its path stands before `/v2/`, as Artifactory and containerd have it. With `/v2/` in it, what follows is the
 *   prefix as above.
 *
 * Gives a URL that ends in a slash, with `/v2/` before a prefix.
 */
export function parseLocation(text: string): string | null {
  const [, host, prefix] = namePattern.exec(text) ?? []
  if (host !== undefined) {
    const real = host === 'docker.io' || host === 'index.docker.io' ? hubHost : host
    const location = `https://${real}/${prefix ? `v2${prefix}/` : ''}`
    // The pattern knows neither the largest port nor which numbers are addresses.
    return URL.canParse(location) ? location : null
  }
  const url = /^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url === null || [url.search, url.hash, url.username, url.password].some((part) => part !== '')) return null
  return url.href.endsWith('/') ? url.href : `${url.href}/`
}

/** The name of a registry, of whatever form people know it by: `https://index.docker.io/v1/` is `docker.io`. */
export function registryName(text: string): string {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '')
  return bare === 'index.docker.io' || bare === hubHost ? 'docker.io' : bare
}

/** Takes apart what `parseLocation` gave: where `v2/` follows, and what repositories' paths begin with. */
export function splitLocation(location: string): { readonly base: URL; readonly prefix: string } {
  const url = new URL(location)
  const at = url.pathname.indexOf('/v2/')
  if (at < 0) return { base: url.pathname.endsWith('/') ? url : new URL(`${url.href}/`), prefix: '' }
  const prefix = url.pathname.slice(at + '/v2/'.length)
  url.pathname = url.pathname.slice(0, at + 1)
  return { base: url, prefix }
}
