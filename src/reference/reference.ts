import { referenceErrors } from '../errors/reference-errors.ts'
import { type Digest, isDigest } from '../oci/digest.ts'

/** An image name taken apart, with the defaults filled in. */
export interface Reference {
  /** Host and port of the registry; `docker.io` when the text names none. */
  readonly domain: string
  /** Repository below the domain; `library/` is put before single names of docker.io. */
  readonly path: string
  readonly tag: string | null
  readonly digest: Digest | null
}

const defaultDomain = 'docker.io'
const officialPath = 'library/'
const defaultTag = 'latest'

// The grammar of the OCI distribution specification ("Pulling manifests") and of the `distribution/reference` rules
// that Docker and Podman share.
const domainComponent = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const host = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[(?:[a-fA-F0-9:]+)\\])`
const domainPattern = new RegExp(`^${host}(?::[0-9]+)?$`)
const pathComponent = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const pathPattern = new RegExp(`^${pathComponent}(?:/${pathComponent})*$`)
const tagPattern = /^\w[\w.-]{0,127}$/
const maxPath = 255
const maxText = 2048

/**
 * Takes an image name apart: `[host[:port]/]path[:tag][@digest]`.
 *
 * @throws `reference.bad_name`, `reference.bad_tag`, `reference.bad_digest`
 */
export function parseReference(text: string): Reference {
  if (text.length > maxText) throw badName(text, `it has more than ${maxText} characters`)
  let rest = text
  let digest: Digest | null = null
  const at = rest.indexOf('@')
  if (at >= 0) {
    const tail = rest.slice(at + 1)
    if (!isDigest(tail))
      throw referenceErrors.error('bad_digest', {
        message: `The image name "${text}" has the digest "${tail}"; digests are sha256: and 64, or sha512: and 128 lower-case hex digits.`,
        subject: { type: 'reference', id: text },
      })
    digest = tail
    rest = rest.slice(0, at)
  }
  let tag: string | null = null
  const colon = rest.lastIndexOf(':')
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1)
    rest = rest.slice(0, colon)
    if (!isTag(tag))
      throw referenceErrors.error('bad_tag', {
        message: `The image name "${text}" has the tag "${tag}"; tags are 1 to 128 letters, digits, "_", "." and "-", and begin with a letter, digit or "_".`,
        subject: { type: 'reference', id: text },
      })
  }
  if (rest === '') throw badName(text, 'the name is empty')
  if (/^[a-f0-9]{64}$/.test(text)) throw badName(text, '64 hex digits are an image id, not a name')
  const { domain, path } = splitDomain(rest)
  if (!domainPattern.test(domain)) throw badName(text, `"${domain}" is not a host name`)
  if (path.length > maxPath) throw badName(text, `the path has more than ${maxPath} characters`)
  if (!pathPattern.test(path)) {
    const lower = path.toLowerCase()
    throw badName(
      text,
      lower !== path && pathPattern.test(lower)
        ? 'repository names are in lower case'
        : `"${path}" is not a repository path (lower-case letters and digits, joined by ".", "_", "__" or "-", parts by "/")`,
    )
  }
  return { domain, path, tag, digest }
}

/** True for a well-formed tag. */
export const isTag = (text: string): boolean => tagPattern.test(text)

/** The same with `latest` when it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === null && reference.digest === null ? { ...reference, tag: defaultTag } : reference
}

/** `docker.io/library/busybox:1.36`: every part written out. What records are kept under. */
export function canonicalName(reference: Reference): string {
  return `${reference.domain}/${reference.path}${suffix(reference)}`
}

/** `busybox:1.36`: the shortest text that means the same. What people are shown. */
export function familiarName(reference: Reference): string {
  return `${familiarRepository(reference)}${suffix(reference)}`
}

/** `busybox`: the repository alone, in its shortest form. */
export function familiarRepository(reference: Reference): string {
  if (reference.domain !== defaultDomain) return `${reference.domain}/${reference.path}`
  const rest = reference.path.slice(officialPath.length)
  const short = reference.path.startsWith(officialPath) && !rest.includes('/') ? rest : reference.path
  // A path whose first part would be read as a host must keep the domain.
  const again = splitDomain(short)
  return again.domain === defaultDomain && again.path === reference.path && !/^[a-f0-9]{64}$/.test(short)
    ? short
    : `${reference.domain}/${reference.path}`
}

/** The canonical name of a text, `latest` included. @throws what `parseReference` throws */
export const normalizeName = (text: string): string => canonicalName(withDefaultTag(parseReference(text)))

const suffix = ({ tag, digest }: Reference) => `${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isHost = /[.:[]/.test(first) || first === 'localhost' || first.toLowerCase() !== first
  const domain = isHost ? first : defaultDomain
  const rest = isHost ? name.slice(slash + 1) : name
  // The registry's own host name was the domain once.
  const known = domain === 'index.docker.io' ? defaultDomain : domain
  return { domain: known, path: known === defaultDomain && !rest.includes('/') ? `${officialPath}${rest}` : rest }
}

const badName = (text: string, why: string) =>
  referenceErrors.error('bad_name', {
    message: `"${text.slice(0, 300)}" is not an image name: ${why}.`,
    subject: { type: 'reference', id: text.slice(0, 300) },
  })
