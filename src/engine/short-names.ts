import { isTagged } from '../image/image-record.ts'
import { familiarName, parseReference } from '../reference/reference.ts'

/** Canonical names as people write them, those with a tag and those with only a digest apart. */
export function shortNames(names: readonly string[]) {
  const shown = names.map((name) => familiarName(parseReference(name)))
  return { all: shown, tags: shown.filter(isTagged), digests: shown.filter((name) => !isTagged(name)) }
}
