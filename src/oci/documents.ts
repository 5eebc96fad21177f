import { imageErrors } from '../errors/image-errors.ts'
import type { Descriptor } from './descriptor.ts'
import { isDigest } from './digest.ts'
import type { ImageConfig } from './image-config.ts'
import type { Index, Manifest } from './manifest.ts'

type Json = Readonly<Record<string, unknown>>

/** More layers than any storage driver could stack; more manifests than any index has. */
const maxList = 10_000

/** Checks that parsed JSON is an image manifest. `subject` is its digest or file. @throws `image.bad_manifest` */
export function asManifest(value: unknown, subject: string): Manifest {
  const manifest = object(value, subject, 'the manifest')
  if (manifest['schemaVersion'] === 1)
    throw imageErrors.error('schema1', {
      message: `The manifest ${subject} is of schema 1, which is obsolete since 2017. Push or save the image anew with a current tool.`,
      subject: { type: 'manifest', id: subject },
    })
  version2(manifest, subject)
  asDescriptor(manifest['config'], subject, 'config')
  for (const [at, layer] of list(manifest['layers'], subject, 'layers').entries())
    asDescriptor(layer, subject, `layers[${at}]`)
  return value as Manifest
}

/** Checks that parsed JSON is an image index. @throws `image.bad_manifest` */
export function asIndex(value: unknown, subject: string): Index {
  const index = object(value, subject, 'the index')
  version2(index, subject)
  for (const [at, manifest] of list(index['manifests'], subject, 'manifests').entries())
    asDescriptor(manifest, subject, `manifests[${at}]`)
  return value as Index
}

/** Checks that parsed JSON is an image configuration. @throws `image.bad_manifest` */
export function asImageConfig(value: unknown, subject: string): ImageConfig {
  const config = object(value, subject, 'the configuration')
  const rootfs = object(config['rootfs'], subject, 'rootfs')
  for (const [at, diffId] of list(rootfs['diff_ids'] ?? [], subject, 'rootfs.diff_ids').entries())
    if (typeof diffId !== 'string' || !isDigest(diffId)) throw bad(subject, `rootfs.diff_ids[${at}] is not a digest`)
  for (const key of ['os', 'architecture', 'variant', 'created', 'author'])
    optional(config[key], (v) => typeof v === 'string', subject, `${key} is not a string`)
  if (config['config'] !== undefined && config['config'] !== null) checkRunConfig(config['config'], subject)
  if (config['history'] !== undefined && config['history'] !== null) list(config['history'], subject, 'history')
  // Builders of old left these out; everything they made was for Linux.
  return {
    os: 'linux',
    architecture: 'unknown',
    ...config,
    rootfs: { type: 'layers', diff_ids: [], ...rootfs },
  } as ImageConfig
}

/** Checks that a value is a descriptor. @throws `image.bad_manifest` */
export function asDescriptor(value: unknown, subject: string, where: string): Descriptor {
  const descriptor = object(value, subject, where)
  const { digest, size, mediaType, annotations } = descriptor
  if (typeof digest !== 'string' || !isDigest(digest)) throw bad(subject, `${where}.digest is not a digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw bad(subject, `${where}.size is not a number of bytes`)
  if (mediaType !== undefined && typeof mediaType !== 'string') throw bad(subject, `${where}.mediaType is not a string`)
  if (annotations !== undefined && annotations !== null && !isStringMap(annotations))
    throw bad(subject, `${where}.annotations is not a map of strings`)
  const { platform } = descriptor
  if (platform !== undefined && platform !== null) {
    const facts = object(platform, subject, `${where}.platform`)
    for (const key of ['os', 'architecture'])
      optional(facts[key], (v) => typeof v === 'string', subject, `${where}.platform.${key} is not a string`)
  }
  return value as Descriptor
}

function checkRunConfig(value: unknown, subject: string): void {
  const config = object(value, subject, 'config')
  for (const key of ['Env', 'Cmd', 'Entrypoint', 'Shell', 'OnBuild'])
    optional(
      config[key],
      (v) => Array.isArray(v) && v.every((item) => typeof item === 'string'),
      subject,
      `config.${key} is not a list of strings`,
    )
  for (const key of ['User', 'WorkingDir', 'StopSignal'])
    optional(config[key], (v) => typeof v === 'string', subject, `config.${key} is not a string`)
  for (const key of ['Volumes', 'ExposedPorts'])
    optional(config[key], isObject, subject, `config.${key} is not an object`)
  optional(config['Labels'], isStringMap, subject, 'config.Labels is not a map of strings')
  optional(config['Healthcheck'], isObject, subject, 'config.Healthcheck is not an object')
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const isStringMap = (value: unknown): value is Readonly<Record<string, string>> =>
  isObject(value) && Object.values(value).every((item) => typeof item === 'string')

function object(value: unknown, subject: string, what: string): Json {
  if (!isObject(value)) throw bad(subject, `${what} is not a JSON object`)
  return value
}

function list(value: unknown, subject: string, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(subject, `${what} is not a list`)
  if (value.length > maxList) throw bad(subject, `${what} has more than ${maxList} items`)
  return value
}

function optional(value: unknown, check: (value: unknown) => boolean, subject: string, complaint: string): void {
  if (value !== undefined && value !== null && !check(value)) throw bad(subject, complaint)
}

function version2(document: Json, subject: string): void {
  if (document['schemaVersion'] !== 2)
    throw bad(subject, `schemaVersion is ${String(document['schemaVersion'])}, not 2`)
}

const bad = (subject: string, why: string) =>
  imageErrors.error('bad_manifest', {
    message: `${subject} breaks the OCI image specification: ${why}. The image was built wrongly or is damaged.`,
    subject: { type: 'manifest', id: subject },
  })
