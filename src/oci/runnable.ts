import type { Manifest } from './manifest.ts'
import { mediaTypes } from './media-types.ts'

const configTypes: readonly (string | undefined)[] = [
  mediaTypes.ociConfig,
  mediaTypes.dockerConfig,
  // Of the first years.
  'application/octet-stream',
  undefined,
]

/** Why containers cannot be made from what a manifest describes; the end of a sentence. Null: they can. */
export function whyNotRunnable({ config, layers }: Manifest): string | null {
  if (!configTypes.includes(config.mediaType)) return `holds ${config.mediaType}, which is no image but an artifact`
  if (layers.some(({ mediaType = '' }) => /foreign|nondistributable/.test(mediaType)))
    return 'has layers that registries do not give out (foreign layers)'
  return layers.some(({ mediaType = '' }) => mediaType.endsWith('+encrypted')) ? 'has encrypted layers' : null
}
