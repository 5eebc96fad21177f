import { createHash } from 'node:crypto'

/** A content digest, `algorithm:hex`. Source: OCI image-spec, descriptor.md, "Digests". */
export type Digest = `sha256:${string}` | `sha512:${string}`

const patterns: Record<string, RegExp> = { sha256: /^[a-f0-9]{64}$/, sha512: /^[a-f0-9]{128}$/ }

/** True for a well-formed sha256 or sha512 digest. */
export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(':')
  return colon > 0 && (patterns[text.slice(0, colon)]?.test(text.slice(colon + 1)) ?? false)
}

/** Digest of bytes that are at hand. Streams are hashed by the content store while they pass. */
export function digestOf(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

export const digestAlgorithm = (digest: Digest): 'sha256' | 'sha512' =>
  digest.slice(0, digest.indexOf(':')) as 'sha256' | 'sha512'

export const digestHex = (digest: Digest): string => digest.slice(digest.indexOf(':') + 1)
