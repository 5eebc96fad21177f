import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { parsePlatform } from '../image/choose-platform.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-types.ts'
import { formatPlatform, type Platform } from '../oci/platform.ts'
import { type Operation, startOperation } from '../progress/operation.ts'
import { canonicalName } from '../reference/reference.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import { type PushResult, sendImage, tagToPush } from './push-image.ts'
import type { TransferServices } from './transfer-services.ts'

/** One image of an index. */
export interface IndexedPush {
  readonly image: ImageRecord
  /** `os/architecture[/variant]`. Default: what the image's configuration says. */
  readonly platform?: string | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
}

export interface PushIndexOptions extends CallOptions {
  /** Of the index. */
  readonly annotations?: Readonly<Record<string, string>> | undefined
}

/**
 * Sends several images and an OCI index of them under one tag: whoever pulls it gets the one for the machine. Each of them
 * is there by its digest as well. The tag moves last, when everything else is there.
 *
 * @throws `registry.*`, `content.*`, `call.bad_option` for two images of one platform, `call.*`
 */
export function pushIndex(
  services: TransferServices,
  registries: RegistryClient,
  entries: readonly IndexedPush[],
  name: string,
  options: PushIndexOptions = {},
): Operation<PushResult> {
  return startOperation(
    async ({ signal, report }) => {
      const { annotations } = parseOptionObject('images.pushIndex', options, {
        annotations: texts,
        signal: (value) => value as AbortSignal,
      })
      const reference = tagToPush(services.images.expand(name))
      const platforms = await platformsOf(entries, { signal })
      const [repository] = registries.repositories(reference, 'push')
      const manifests: Descriptor[] = []
      for (const [at, { image, annotations: own }] of entries.entries()) {
        const sending = { reference, compression: undefined, tag: null, signal, report }
        const { mediaType, digest, size } = await sendImage(services, repository!, image, sending)
        manifests.push({ mediaType, digest, size, platform: platforms[at]!, ...(own ? { annotations: own } : {}) })
      }
      const document = {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests,
        ...(annotations ? { annotations } : {}),
      }
      const bytes = Buffer.from(JSON.stringify(document))
      await repository!.putManifest(reference.tag, { bytes, mediaType: mediaTypes.ociIndex }, { signal })
      for (const { image } of entries)
        services.journal.append({
          type: 'image',
          action: 'push',
          subject: image.id,
          attributes: { name: canonicalName(reference) },
        })
      return { name: canonicalName(reference), digest: digestOf(bytes), size: bytes.length }
    },
    options,
    `Pushing ${name}`,
  )
}

async function platformsOf(entries: readonly IndexedPush[], call: CallOptions): Promise<Platform[]> {
  if (entries.length === 0) throw bad('images', 'An index needs at least one image.')
  const platforms: Platform[] = []
  const seen = new Set<string>()
  for (const { image, platform, annotations } of entries) {
    if (annotations !== undefined) texts(annotations, 'annotations')
    const found = platform === undefined ? await platformOf(image, call) : parsePlatform(platform)
    const text = formatPlatform(found)
    if (found.architecture === 'unknown')
      throw bad('platform', `Image ${image.id} does not say what it runs on. Give its platform.`)
    if (seen.has(text)) throw bad('images', `Two images are for ${text}. An index has one for each platform.`)
    seen.add(text)
    platforms.push(found)
  }
  return platforms
}

async function platformOf(image: ImageRecord, call: CallOptions): Promise<Platform> {
  const { os, architecture, variant } = await image.config(call)
  return variant ? { os, architecture, variant } : { os, architecture }
}

function texts(value: unknown, key: string): Readonly<Record<string, string>> {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isMap && Object.values(value).every((item) => typeof item === 'string'))
    return value as Readonly<Record<string, string>>
  throw bad(key, `The option "${key}" must be an object of texts.`)
}

const bad = (key: string, message: string) =>
  callErrors.error('bad_option', { message, subject: { type: 'option', id: key }, details: { key } })
