import { EngineError } from '../errors/engine-error.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { parseReference, type Reference } from './reference.ts'

/** What a text may mean that stands for an image: its whole id, or a name, or the first digits of an id, or both. */
export interface ImageSelector {
  readonly text: string
  /** Whole id (or digest of a manifest). */
  readonly id: Digest | null
  /** First hex digits of a sha256 id. */
  readonly idPrefix: string | null
  /** Names come before prefixes when both fit. */
  readonly reference: Reference | null
}

/**
 * Reads `busybox:1.36`, `sha256:4f3c...`, 64 hex digits, or the first of them (also behind `sha256:`).
 *
 * @throws `reference.bad_name`, `reference.bad_tag`, `reference.bad_digest` when it is none of them
 */
export function parseImageSelector(text: string): ImageSelector {
  const hex = text.startsWith('sha256:') ? text.slice(7) : text
  const whole = text.includes(':') ? text : `sha256:${text}`
  if (isDigest(whole)) return { text, id: whole, idPrefix: null, reference: null }
  const idPrefix = /^[a-f0-9]{1,63}$/.test(hex) ? hex : null
  try {
    return { text, id: null, idPrefix, reference: parseReference(text) }
  } catch (error) {
    if (idPrefix === null || !(error instanceof EngineError)) throw error
    return { text, id: null, idPrefix, reference: null }
  }
}
