import { imageErrors } from '../errors/image-errors.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { Digest } from '../oci/digest.ts'
import type { HistoryEntry, ImageConfig, ImageRunConfig } from '../oci/image-config.ts'
import { type Operation, type OperationContext, startOperation } from '../progress/operation.ts'
import { type CommitOptions, checkCommitOptions } from '../transfer/commit-options.ts'
import { applyConfigChanges } from '../transfer/config-changes.ts'
import { makeImage } from '../transfer/new-image.ts'
import type { TransferServices } from '../transfer/transfer-services.ts'
import type { TreeServices } from '../transfer/tree-services.ts'
import { openChanges } from './container-changes.ts'
import type { ContainerRecord } from './container-record.ts'
import { effectiveConfig } from './effective-config.ts'
import { whileFrozen } from './frozen.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'

/** What a commit reaches of the engine. */
export interface CommitServices {
  readonly containers: ContainerServices
  readonly holder: LocalHolder
  readonly transfer: TransferServices
  readonly trees: TreeServices
}

/**
 * Makes an image of a container: its image's layers, one with what it has changed, and its configuration. Nothing is
 * left when it fails, and the container runs on as before.
 *
 * @throws `image.not_found` when the container's image was removed, `transfer.bad_change`, `container.*`, `layer.*`,
 * `content.*`, `reference.*`, `call.*`
 */
export function commitContainer(
  services: CommitServices,
  id: ContainerRecord['id'],
  options: CommitOptions = {},
): Operation<ImageRecord> {
  return startOperation((context) => commit(services, id, checkCommitOptions(options), context), options, 'commit')
}

async function commit(
  { containers, holder, transfer, trees }: CommitServices,
  id: ContainerRecord['id'],
  options: ReturnType<typeof checkCommitOptions>,
  context: OperationContext,
): Promise<ImageRecord> {
  const record = containers.records.require(id)
  const parent = imageOf(transfer, record)
  const config = await parent.config({ signal: context.signal })
  const run = withLabels(
    applyConfigChanges(effectiveConfig(record.spec, config.config ?? {}), options.changes ?? []),
    options.labels,
  )
  const created = (options.created ?? new Date()).toISOString()
  const step = {
    created,
    created_by: record.spec.argv.join(' '),
    ...(options.author === undefined ? {} : { author: options.author }),
    ...(options.message === undefined ? {} : { comment: options.message }),
  }
  const pack = async (now: ContainerRecord, packed: () => Promise<void>) => {
    await using opened = await openChanges(containers, trees, now, 'commit', { signal: context.signal })
    return makeImage(
      transfer,
      trees,
      {
        parent,
        recordedParent: parent.id,
        kept: parent.layers.length,
        changes: opened.changes,
        mountPoints: opened.mountPoints,
        configure: (layer) => childConfig(config, run, layer, step),
        name: options.reference,
        format: options.format,
        compression: options.compression,
        lifetime: options.lifetime,
        action: 'commit',
        packed,
      },
      context,
    )
  }
  const image =
    options.pause === false
      ? await pack(record, async () => {})
      : await whileFrozen(containers, holder, id, pack, { signal: context.signal })
  containers.journal.append({
    type: 'container',
    action: 'commit',
    subject: id,
    attributes: { image: image.id, ...(options.message === undefined ? {} : { comment: options.message }) },
  })
  return image
}

function imageOf({ images }: TransferServices, { name, spec }: ContainerRecord): ImageRecord {
  const image = images.find(spec.image.manifest) ?? images.find(spec.image.id)
  if (image) return image
  throw imageErrors.error('not_found', {
    message: `The image ${spec.image.name} that ${name} was made from has been removed, and a commit needs its layers. Load or pull it again, or export the container.`,
    subject: { type: 'image', id: spec.image.id },
  })
}

const withLabels = (run: ImageRunConfig, labels: Readonly<Record<string, string>> | undefined): ImageRunConfig =>
  labels === undefined ? run : { ...run, Labels: { ...run.Labels, ...labels } }

/** The author is the commit's; the one of the image below is that one's. */
function childConfig(
  { author: _, ...parent }: ImageConfig,
  run: ImageRunConfig,
  layer: Digest | null,
  step: HistoryEntry & { readonly created: string },
): ImageConfig {
  return {
    ...parent,
    created: step.created,
    ...(step.author === undefined ? {} : { author: step.author }),
    config: run,
    rootfs: { type: 'layers', diff_ids: [...parent.rootfs.diff_ids, ...(layer ? [layer] : [])] },
    history: [...(parent.history ?? []), layer ? step : { ...step, empty_layer: true }],
  }
}
