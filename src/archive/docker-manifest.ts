import { archiveErrors } from '../errors/archive-errors.ts'
import { isEngineError } from '../errors/engine-error.ts'
import { normalizeName } from '../reference/reference.ts'

/** One entry of `manifest.json`. Source: Docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset Format". */
export interface DockerManifestEntry {
  readonly config: string
  readonly layers: readonly string[]
  /** Canonical. */
  readonly names: readonly string[]
}

/** @throws `archive.corrupt` */
export function parseDockerManifest(value: unknown): DockerManifestEntry[] {
  if (!Array.isArray(value)) throw bad('it is not a list')
  return value.map((entry: unknown, at) => {
    const { Config, Layers, RepoTags } = (entry ?? {}) as Record<string, unknown>
    if (typeof Config !== 'string') throw bad(`entry ${at} has no Config`)
    if (!isStrings(Layers ?? [])) throw bad(`Layers of entry ${at} is not a list of paths`)
    if (!isStrings(RepoTags ?? [])) throw bad(`RepoTags of entry ${at} is not a list of names`)
    return {
      config: Config,
      layers: (Layers ?? []) as readonly string[],
      names: ((RepoTags ?? []) as readonly string[]).map(archivedName),
    }
  })
}

/** The canonical form of a name in an archive. @throws `archive.corrupt` */
export function archivedName(name: string): string {
  try {
    return normalizeName(name)
  } catch (error) {
    if (!isEngineError(error)) throw error
    throw archiveErrors.error('corrupt', {
      message: `The archive gives an image the name "${name.slice(0, 200)}": ${error.message}`,
      subject: { type: 'reference', id: name.slice(0, 200) },
      cause: error,
    })
  }
}

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

const bad = (why: string) =>
  archiveErrors.error('corrupt', {
    message: `manifest.json of the archive is wrong: ${why}. Make the archive again.`,
    subject: { type: 'file', id: 'manifest.json' },
  })
