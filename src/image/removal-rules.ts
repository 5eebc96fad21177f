import { imageErrors } from '../errors/image-errors.ts'
import type { ImageFacts } from './image-record.ts'

/** A container that was made from an image. */
export interface ImageUser {
  readonly container: string
  readonly running: boolean
}

export interface RemovalPlan {
  readonly untag: readonly string[]
  readonly remove: boolean
}

/**
 * What removing an image by `name` (or by id: null) does; the rules are those of `docker rmi`. A name beside other
 * names just goes. The last name takes the image along, unless containers need it: then `force` takes the name only
 * (running) or the image too (stopped). By id, several names need `force`, and running containers always forbid it.
 *
 * @throws `image.in_use`, `image.several_names`
 */
export function planRemoval(
  image: Pick<ImageFacts, 'id' | 'names'>,
  name: string | null,
  users: readonly ImageUser[],
  force: boolean,
): RemovalPlan {
  const running = users.filter((user) => user.running)
  if (name !== null) {
    if (image.names.some((other) => other !== name && !sameRepositoryDigest(other, name)))
      return { untag: [name], remove: false }
    if (users.length > 0 && !force) throw inUse(image.id, users, running.length > 0)
    return { untag: image.names, remove: running.length === 0 }
  }
  const tags = image.names.filter((other) => !other.includes('@'))
  if (running.length > 0) throw inUse(image.id, running, true)
  if (tags.length > 1 && !force)
    throw imageErrors.error('several_names', {
      message: `Image ${image.id} has ${tags.length} names (${tags.join(', ')}). Remove them one by one, or use force.`,
      subject: { type: 'image', id: image.id },
      details: { names: tags },
    })
  if (users.length > 0 && !force) throw inUse(image.id, users, false)
  return { untag: image.names, remove: true }
}

/** `repo@sha256:...` goes with the last tag of its repository. */
function sameRepositoryDigest(other: string, name: string): boolean {
  const at = other.indexOf('@')
  return at >= 0 && name.startsWith(`${other.slice(0, at)}:`)
}

const inUse = (id: string, users: readonly ImageUser[], running: boolean) =>
  imageErrors.error('in_use', {
    message: `Image ${id} is used by ${running ? 'running ' : ''}container ${users
      .slice(0, 3)
      .map((user) => user.container.slice(0, 12))
      .join(', ')}. Remove ${users.length === 1 ? 'it' : 'them'} first${running ? '' : ', or use force'}.`,
    subject: { type: 'image', id },
    details: { containers: users.map((user) => user.container) },
  })
