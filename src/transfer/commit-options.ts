import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { transferErrors } from '../errors/transfer-errors.ts'
import { imageText } from '../image/image-filter.ts'
import { type ImageLifetime, imageLifetimes } from '../image/image-owners.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type ImageFormat, type LayerCompression, layerTypeOf } from '../oci/layer-types.ts'

/** How an image is written that is made of what is here. */
export interface NewImageOptions extends CallOptions {
  /** Its name. Default: none; it is known by its id. */
  readonly reference?: string | undefined
  /** Who made it. */
  readonly author?: string | undefined
  /** What the history says of it. */
  readonly message?: string | undefined
  /** When it was made, for images that are the same whenever they are made. Default: now. */
  readonly created?: Date | undefined
  /** Default: as the image's that it is made from. */
  readonly format?: ImageFormat | undefined
  /** How its new layer is stored. Default `none`: a push compresses it. */
  readonly compression?: LayerCompression | undefined
  /** `process`: it goes with this process, unless it was here or is needed then. Default `kept`. */
  readonly lifetime?: ImageLifetime | undefined
}

/** How to make an image of a container. */
export interface CommitOptions extends NewImageOptions {
  /** Lines of a Dockerfile that alter the configuration, such as `CMD ["sh"]`, `ENV A=b`. */
  readonly changes?: readonly string[] | undefined
  /** Added to the container's. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** Whether a running container is frozen meanwhile. Default true. */
  readonly pause?: boolean | undefined
}

/** How to make one layer of several. */
export interface SquashOptions extends NewImageOptions {
  /** An image (name, id or handle) whose layers are the lowest ones of this: they stay as they are. Default: every layer is squashed. */
  readonly from?: string | { readonly id: string } | undefined
}

/** @throws `call.unknown_option`, `call.bad_option`, `transfer.unsupported_compression` */
export function checkCommitOptions(options: unknown) {
  const checked = parseOptionObject('container.commit', options, {
    ...newImage,
    changes: (value, key) => {
      if (Array.isArray(value)) return value.map((line) => text(line, key))
      throw bad(key, value, 'a list of texts')
    },
    labels: (value, key) => {
      const isMap = typeof value === 'object' && value !== null && !Array.isArray(value)
      if (isMap && Object.values(value).every((item) => typeof item === 'string'))
        return value as Readonly<Record<string, string>>
      throw bad(key, value, 'an object of texts')
    },
    pause: (value, key) => {
      if (typeof value === 'boolean') return value
      throw bad(key, value, 'true or false')
    },
  })
  return checked
}

/** @throws `call.unknown_option`, `call.bad_option`, `transfer.unsupported_compression` */
export const checkSquashOptions = (options: unknown) =>
  parseOptionObject('image.squash', options, { ...newImage, from: imageText })

/** @throws `call.unknown_option`, `call.bad_option`, `transfer.unsupported_compression` */
export const checkPushOptions = (options: unknown) =>
  parseOptionObject('image.push', options, {
    compression: parseSentCompression,
    signal: newImage.signal,
  })

/** The media type of a layer. @throws `transfer.unsupported_compression` */
export function requireLayerType(format: ImageFormat, compression: LayerCompression): string {
  const type = layerTypeOf(format, compression)
  if (type !== null) return type
  throw transferErrors.error('unsupported_compression', {
    message: `Manifests of the format "${format}" have no layers packed with ${compression}. Use the format "oci", or gzip.`,
    details: { format, compression },
  })
}

const otherCompressions = ['estargz', 'stargz', 'zstd:chunked', 'bzip2', 'xz', 'lz4']

/** A packing that layers can be given. @throws `call.bad_option`, `transfer.unsupported_compression` */
export function parseCompression(value: unknown, key: string): LayerCompression {
  if (value === 'none' || value === 'gzip' || value === 'zstd') return value
  if (typeof value === 'string' && otherCompressions.includes(value))
    throw transferErrors.error('unsupported_compression', {
      message: `Layers cannot be packed as "${value}"; "none", "gzip" and "zstd" can be had.`,
      details: { key, compression: value },
    })
  throw bad(key, value, 'one of none, gzip, zstd')
}

/** How layers leave this root. @throws `call.bad_option`, `transfer.unsupported_compression` */
export function parseSentCompression(value: unknown, key: string): 'stored' | Exclude<LayerCompression, 'none'> {
  const compression = value === 'stored' ? value : parseCompression(value, key)
  if (compression !== 'none') return compression
  throw bad(key, value, 'one of stored, gzip, zstd')
}

/** @throws `call.bad_option` */
export function parseLifetime(value: unknown, key: string): ImageLifetime {
  const found = imageLifetimes.find((name) => name === value)
  if (found) return found
  throw bad(key, value, `one of ${imageLifetimes.join(', ')}`)
}

const text = (value: unknown, key: string): string => {
  if (typeof value === 'string' && value !== '') return value
  throw bad(key, value, 'a text that is not empty')
}

const newImage = {
  reference: text,
  author: text,
  message: text,
  created: (value: unknown, key: string): Date => {
    if (value instanceof Date && !Number.isNaN(value.getTime())) return value
    throw bad(key, value, 'a valid Date')
  },
  format: (value: unknown, key: string): ImageFormat => {
    if (value === 'oci' || value === 'docker') return value
    throw bad(key, value, 'oci or docker')
  },
  compression: parseCompression,
  lifetime: parseLifetime,
  signal: (value: unknown, key: string): AbortSignal => {
    if (value instanceof AbortSignal) return value
    throw bad(key, value, 'an AbortSignal')
  },
}

function bad(key: string, value: unknown, wanted: string) {
  return callErrors.error('bad_option', {
    message: `The option "${key}" must be ${wanted}, not ${JSON.stringify(value) ?? typeof value}.`,
    subject: { type: 'option', id: key },
    details: { key },
  })
}
