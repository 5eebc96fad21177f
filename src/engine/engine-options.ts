import { isAbsolute } from 'node:path'
import type { AnyDriverDefinition } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { type ImageLockOptions, imageLockModes } from '../image/image-lock-modes.ts'
import { refuseSignatures } from '../image/refuse-signatures.ts'
import { parseRegistriesOptions, type RegistriesOptions } from '../registry/registry-options.ts'
import type { PartFactory } from './parts.ts'

/** How to open an engine. Every field has a default; unknown ones are refused by name. */
export interface EngineOptions {
  /** The data root, an absolute path. Default `/var/lib/tscontainer`. Several engines may share one. */
  readonly root?: string
  /** Default: what the root was made with, else the first usable of overlay2, fuse-overlayfs and vfs. */
  readonly storage?: { readonly driver?: string; readonly options?: object }
  /** Name or path of an OCI runtime. Default: crun, else runc, chosen by trying. */
  readonly runtime?: string
  /** Default log driver of containers. Default json-file. */
  readonly log?: { readonly driver: string; readonly options?: Readonly<Record<string, string>> }
  /** Drivers of your own; one with the type and name of a shipped one replaces it. */
  readonly drivers?: readonly AnyDriverDefinition[]
  /**
   * Where warnings and background errors go. Default: `process.emitWarning` for both. All of them are also published on
   * the channel `tscontainer:diagnostics` of `node:diagnostics_channel`.
   */
  readonly diagnostics?: DiagnosticsSink
  /** Pools that subnets of networks are taken from, CIDR. Default: Docker's. */
  readonly addressPools?: readonly { readonly base: string; readonly size: number }[]
  /** DNS servers of containers. Default: the host's. */
  readonly dns?: readonly string[]
  /** Registries: mirrors, credentials, certificates. Default: Docker's rules and the credentials of `docker login`. */
  readonly registries?: RegistriesOptions
  /** Refuses every use of a registry with an error that names it. Default false. */
  readonly offline?: boolean
  /**
   * A file that pins names of images to digests, for `pull` and `run`, as the lock file of a package manager does.
   * Default: none.
   */
  readonly imageLock?: ImageLockOptions
  /** Not supported: refused with `image.no_signatures`, never ignored. */
  readonly signaturePolicy?: never
  /** Replacements of core parts, for tests. */
  readonly parts?: readonly PartFactory<unknown>[]
}

const bad = (key: string, wanted: string, value: unknown) =>
  callErrors.error('bad_option', {
    message: `Engine.open takes ${wanted} as "${key}", got ${JSON.stringify(value) ?? String(value)}.`,
    subject: { type: 'option', id: key },
  })

const object = (value: unknown, key: string): object => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw bad(key, 'an object', value)
}

const list = (value: unknown, key: string): readonly unknown[] => {
  if (Array.isArray(value)) return value
  throw bad(key, 'an array', value)
}

const text = (value: unknown, key: string): string => {
  if (typeof value === 'string' && value !== '') return value
  throw bad(key, 'text', value)
}

/** Checks the options; drivers check their own when they are opened. */
export function parseEngineOptions(input: EngineOptions | undefined) {
  return parseOptionObject('Engine.open', input, {
    root: (value, key) => {
      const root = text(value, key)
      if (!isAbsolute(root) || root === '/') throw bad(key, 'an absolute path other than /', value)
      return root
    },
    storage: (value, key) =>
      parseOptionObject(`Engine.open ${key}`, object(value, key), { driver: text, options: object }),
    runtime: text,
    log: (value, key) => {
      const parsed = parseOptionObject(`Engine.open ${key}`, object(value, key), {
        driver: text,
        options: (options, name) => object(options, name) as Readonly<Record<string, string>>,
      })
      if (parsed.driver === undefined) throw bad(key, 'an object with a driver', value)
      return { driver: parsed.driver, options: parsed.options ?? {} }
    },
    drivers: (value, key) => list(value, key) as readonly AnyDriverDefinition[],
    diagnostics: (value, key) => {
      if (typeof value === 'function') return value as DiagnosticsSink
      throw bad(key, 'a function', value)
    },
    addressPools: (value, key) => list(value, key) as readonly { readonly base: string; readonly size: number }[],
    dns: (value, key) => list(value, key).map((server) => text(server, key)),
    registries: (value, key) => parseRegistriesOptions(object(value, key) as RegistriesOptions),
    offline: (value, key) => {
      if (typeof value === 'boolean') return value
      throw bad(key, 'true or false', value)
    },
    imageLock: (value, key) => {
      const { file, mode } = parseOptionObject(`Engine.open ${key}`, object(value, key), { file: text, mode: text })
      if (file === undefined) throw bad(key, 'an object with a file', value)
      const known = imageLockModes.find((one) => one === mode)
      if (mode !== undefined && !known) throw bad('mode', `one of ${imageLockModes.join(', ')}`, mode)
      return { file, ...(known && { mode: known }) }
    },
    signaturePolicy: refuseSignatures,
    parts: (value, key) => list(value, key) as readonly PartFactory<unknown>[],
  })
}

export type ParsedEngineOptions = ReturnType<typeof parseEngineOptions>

/** The same, with the drivers among them checked. @throws `engine.bad_driver`, `engine.driver_kit_mismatch` */
export async function checkEngineOptions(input: EngineOptions | undefined): Promise<ParsedEngineOptions> {
  const parsed = parseEngineOptions(input)
  if (parsed.drivers && parsed.drivers.length > 0) {
    // Who brings no driver needs no library that compares versions.
    const { checkDefinition } = await import('./check-definition.ts')
    for (const definition of parsed.drivers) checkDefinition(definition)
  }
  return parsed
}

/** Where the engine keeps everything unless told otherwise. */
export const defaultRoot = '/var/lib/tscontainer'
