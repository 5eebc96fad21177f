import { imageErrors } from '../errors/image-errors.ts'
import { canonicalName, parseReference, withDefaultTag } from '../reference/reference.ts'

/** The canonical form of a name that an image is to get: one with a tag. @throws `image.digest_name`, `reference.*` */
export function newName(text: string): string {
  const reference = withDefaultTag(parseReference(text))
  if (reference.digest === null) return canonicalName(reference)
  throw imageErrors.error('digest_name', {
    message: `"${text}" has a digest, which an image cannot be given. Use a name with a tag.`,
    subject: { type: 'reference', id: text },
  })
}
