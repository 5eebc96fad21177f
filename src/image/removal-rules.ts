import { imageErrors } from '../errors/image-errors.ts'
import { type ImageFacts, isTagged } from './image-record.ts'

/** A container that was made from an image. */
export interface ImageUser {
  readonly container: string
  readonly running: boolean
}

/** Who needs an image, and whether that is to be passed over. */
export interface RemovalCircumstances {
  readonly users: readonly ImageUser[]
  /** Ids of images that were made from it. */
  readonly children: readonly string[]
  readonly force: boolean
}

export interface RemovalPlan {
  readonly untag: readonly string[]
  readonly remove: boolean
}

/**
 * What removing an image by `name` (or by id: null) does; the rules are those of `docker rmi`. A name beside other
 * names just goes, with the digests of its repository when it was the last tag of that. The last name takes the image
 * along, unless containers need it: then `force` takes the name only (running) or the image too (stopped). What other
 * images were made from only loses its name. By id, several names need `force`, and running containers and images made
 * from it always forbid it.
 *
 * @throws `image.in_use`, `image.several_names`, `image.has_children`
 */
export function planRemoval(
  image: Pick<ImageFacts, 'id' | 'names'>,
  name: string | null,
  { users, children, force }: RemovalCircumstances,
): RemovalPlan {
  const running = users.filter((user) => user.running)
  if (name !== null) {
    const others = image.names.filter((other) => other !== name)
    const untag = [name, ...digestsLeftBy(name, others)]
    if (untag.length < image.names.length) return { untag, remove: false }
    if (users.length > 0 && !force) throw inUse(image.id, users, running.length > 0)
    return { untag, remove: running.length === 0 && children.length === 0 }
  }
  const tags = image.names.filter(isTagged)
  if (running.length > 0) throw inUse(image.id, running, true)
  if (children.length > 0) throw hasChildren(image.id, children)
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
function digestsLeftBy(name: string, others: readonly string[]): readonly string[] {
  const repository = name.slice(0, name.lastIndexOf(':'))
  if (!isTagged(name) || others.some((other) => isTagged(other) && other.startsWith(`${repository}:`))) return []
  return others.filter((other) => other.startsWith(`${repository}@`))
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

const hasChildren = (id: string, children: readonly string[]) =>
  imageErrors.error('has_children', {
    message: `${children.length === 1 ? 'An image was' : `${children.length} images were`} made from ${id}: ${children.slice(0, 3).join(', ')}. Remove ${children.length === 1 ? 'it' : 'them'} first, or remove this one by its name: then it goes with the last of them.`,
    subject: { type: 'image', id },
    details: { children },
  })
