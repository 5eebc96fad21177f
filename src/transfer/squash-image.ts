import { transferErrors } from '../errors/transfer-errors.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { Digest } from '../oci/digest.ts'
import type { HistoryEntry, ImageConfig } from '../oci/image-config.ts'
import { type Operation, type OperationContext, startOperation } from '../progress/operation.ts'
import { checkSquashOptions, type SquashOptions } from './commit-options.ts'
import { makeImage } from './new-image.ts'
import type { TransferServices } from './transfer-services.ts'
import type { TreeServices } from './tree-services.ts'
import { ensureUnpacked } from './unpack-image.ts'

/**
 * Makes an image of one layer from all layers of another, or from those above a base image: what was deleted or replaced
 * in between is not in it. The configuration stays; the history keeps the steps as ones without a layer.
 *
 * @throws `transfer.not_a_base`, `transfer.unsupported_compression`, `image.not_found`, `layer.*`, `content.*`,
 * `reference.*`, `call.*`
 */
export function squashImage(
  services: TransferServices,
  trees: TreeServices,
  image: ImageRecord,
  options: SquashOptions = {},
): Operation<ImageRecord> {
  return startOperation(
    (context) => squash(services, trees, image, checkSquashOptions(options), context),
    options,
    'Squashing an image',
  )
}

async function squash(
  services: TransferServices,
  trees: TreeServices,
  image: ImageRecord,
  options: ReturnType<typeof checkSquashOptions>,
  context: OperationContext,
): Promise<ImageRecord> {
  const { signal, report } = context
  const { storage, owner } = trees
  const base = options.from === undefined ? null : requireBase(services.images.resolve(options.from), image)
  const kept = base?.layers.length ?? 0
  const config = await image.config({ signal })
  report({ type: 'stage', stage: 'unpack' })
  const top = await ensureUnpacked(services, storage, image, { signal })
  await using newer = await storage.view(top, { owner, signal })
  // An older one that is empty is none.
  const below = image.chain[kept - 1]
  await using older = below === undefined ? null : await storage.view(below, { owner, signal })
  const made = {
    created: (options.created ?? new Date()).toISOString(),
    created_by: `squash of ${image.layers.length - kept} layers`,
    ...(options.author === undefined ? {} : { author: options.author }),
    comment: options.message ?? `Squashed from ${image.id}`,
  }
  return makeImage(
    services,
    trees,
    {
      parent: image,
      recordedParent: base?.id ?? null,
      kept,
      changes: { format: 'mounts', newer: newer.mounts, older: older?.mounts ?? null },
      mountPoints: [],
      configure: (layer) => squashedConfig(config, kept, layer, made),
      name: options.reference,
      format: options.format,
      compression: options.compression,
      lifetime: options.lifetime,
      action: 'squash',
    },
    context,
  )
}

function requireBase(base: ImageRecord, image: ImageRecord): ImageRecord {
  const isBelow =
    base.layers.length <= image.layers.length &&
    base.layers.every(({ diffId }, at) => diffId === image.layers[at]!.diffId)
  if (isBelow) return base
  throw transferErrors.error('not_a_base', {
    message: `The layers of ${base.id} are not the lowest ones of ${image.id}. Name an image that it was made from, or none.`,
    subject: { type: 'image', id: base.id },
  })
}

function squashedConfig(
  config: ImageConfig,
  kept: number,
  layer: Digest | null,
  made: HistoryEntry & { readonly created: string },
): ImageConfig {
  const history: HistoryEntry[] = []
  let layers = 0
  for (const step of config.history ?? []) {
    const isSquashed = !step.empty_layer && layers++ >= kept
    history.push(isSquashed ? { ...step, empty_layer: true } : step)
  }
  const last = layer ? made : { ...made, empty_layer: true }
  return {
    ...config,
    created: made.created,
    ...(made.author === undefined ? {} : { author: made.author }),
    rootfs: {
      type: 'layers',
      diff_ids: [...config.rootfs.diff_ids.slice(0, kept), ...(layer ? [layer] : [])],
    },
    history: [...history, last],
  }
}
