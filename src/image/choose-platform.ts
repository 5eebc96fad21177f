import { imageErrors } from '../errors/image-errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { formatPlatform, hostPlatform, type Platform } from '../oci/platform.ts'

/** Reads `os/architecture[/variant]` or `architecture`. @throws `image.no_platform` */
export function parsePlatform(text: string): Platform {
  const [first, second, third, ...more] = text.toLowerCase().split('/')
  if (!first || second === '' || third === '' || more.length > 0)
    throw imageErrors.error('no_platform', {
      message: `"${text}" is not a platform. Write os/architecture or os/architecture/variant, such as linux/arm64/v8.`,
      subject: { type: 'platform', id: text },
    })
  const platform = second === undefined ? { os: 'linux', architecture: first } : { os: first, architecture: second }
  const architecture = spellings[platform.architecture] ?? platform.architecture
  return third === undefined ? { ...platform, architecture } : { ...platform, architecture, variant: third }
}

const spellings: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  i386: '386',
}

/**
 * The entries of an index that run on `wanted`, best first: the same variant, then older variants of arm, then entries
 * that name none. Attestations are no images and never chosen.
 */
export function rankPlatforms(manifests: readonly Descriptor[], wanted: Platform): readonly Descriptor[] {
  return manifests
    .map((descriptor, at) => ({ descriptor, at, score: score(descriptor, wanted) }))
    .filter((entry) => entry.score > 0)
    .sort((a, b) => b.score - a.score || a.at - b.at)
    .map((entry) => entry.descriptor)
}

/**
 * The entry of an index for a platform (default: this machine's).
 *
 * @throws `image.no_platform` with the platforms there are
 */
export function choosePlatform(manifests: readonly Descriptor[], wanted: Platform = hostPlatform()): Descriptor {
  const best = rankPlatforms(manifests, wanted)[0]
  if (best) return best
  const available = manifests.flatMap(({ platform }) => (platform && isReal(platform) ? formatPlatform(platform) : []))
  throw imageErrors.error('no_platform', {
    message: `The index has no image for ${formatPlatform(wanted)}; it has ${available.join(', ') || 'none'}.`,
    subject: { type: 'platform', id: formatPlatform(wanted) },
    details: { available },
  })
}

/** True for the signatures and build records that builders put beside images. */
export const isAttestation = (descriptor: Descriptor): boolean =>
  descriptor.annotations?.['vnd.docker.reference.type'] !== undefined ||
  (descriptor.platform !== undefined && descriptor.platform !== null && !isReal(descriptor.platform))

const isReal = (platform: Platform): boolean => platform.os !== 'unknown' && platform.architecture !== 'unknown'

function score(descriptor: Descriptor, wanted: Platform): number {
  if (isAttestation(descriptor)) return 0
  const { platform } = descriptor
  // An index with one image for everybody names no platform.
  if (!platform?.architecture || !platform.os) return 1
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return 0
  const has = variantOf(platform)
  const wants = variantOf(wanted)
  if (has === wants) return 100
  const [hasLevel, wantsLevel] = [level(has), level(wants)]
  if (hasLevel === null || wantsLevel === null) return has === '' ? 10 : 0
  return hasLevel < wantsLevel ? 20 + hasLevel : 0
}

/** arm64 means v8 and arm means v7 when nothing is said; amd64 means v1. */
const variantOf = ({ architecture, variant }: Platform): string =>
  variant || ({ arm64: 'v8', arm: 'v7', amd64: 'v1' }[architecture] ?? '')

const level = (variant: string): number | null => (/^v\d+$/.test(variant) ? Number(variant.slice(1)) : null)
