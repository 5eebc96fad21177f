import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DriverContext } from '../driver-kit/context.ts'
import type { AnyDriverDefinition, DriverDefinition, MissingRequirement, Probe } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { RootPaths } from '../state/paths.ts'
import { absentDriver } from './absent-drivers.ts'

export type StorageDefinition = DriverDefinition<'storage'>

export interface ChosenDriver {
  readonly definition: StorageDefinition
  readonly context: DriverContext
  readonly options: unknown
  readonly facts: Readonly<Record<string, string>>
}

export interface ChooseOptions extends CallOptions {
  readonly host: DriverHost
  readonly paths: RootPaths
  readonly definitions: readonly AnyDriverDefinition[]
  readonly driver?: string | undefined
  readonly driverOptions?: unknown
  /** Whether the root's records name trees of a driver. Default: none do. */
  readonly holdsTrees?: ((driver: string) => boolean) | undefined
  readonly diagnostics: DiagnosticsSink
}

/**
 * Chooses the storage driver of a data root. A named one is taken or refused, never replaced. Without a name: the one
 * that the root's data was made with; on a new root the first that works.
 */
export async function chooseStorageDriver(options: ChooseOptions): Promise<ChosenDriver> {
  const definitions = options.definitions.filter(isStorage)
  if (options.driver === undefined) {
    const prior = priorDriver(options, definitions)
    return prior === null ? firstUsable(definitions, options) : named(prior, definitions, options)
  }
  if (definitions.some(({ name }) => name === options.driver)) refuseSwitch(options.driver, options)
  return named(options.driver, definitions, options)
}

const isStorage = (definition: AnyDriverDefinition): definition is StorageDefinition => definition.type === 'storage'

/** The drivers whose data the root holds. */
const priorDrivers = (paths: RootPaths): readonly string[] =>
  listOf(dirname(paths.storage('any')))
    .filter((name) => listOf(paths.storage(name)).some((entry) => !entry.startsWith('probe-')))
    .sort()

/** With another driver the root's containers would have lost their files, and its images would be unpacked twice. */
function refuseSwitch(wanted: string, { paths, holdsTrees }: ChooseOptions): void {
  const prior = priorDrivers(paths)
  if (prior.includes(wanted)) return
  const inUse = prior.filter((name) => holdsTrees?.(name))
  if (inUse.length === 0) return
  throw storageErrors.error('other_driver', {
    message: `${paths.root} was made with storage driver "${inUse.join('", "')}", and its images and containers are there, not in "${wanted}". Leave storage.driver out to go on with it, take another root for "${wanted}", or empty this one with \`tscontainer reset\` first.`,
    subject: { type: 'root', id: paths.root },
    details: { wanted, prior: inUse },
  })
}

/** The driver whose data the root holds; null on a new root. */
function priorDriver({ paths, holdsTrees }: ChooseOptions, definitions: readonly StorageDefinition[]): string | null {
  const all = priorDrivers(paths)
  // One that was emptied leaves its directory.
  const inUse = all.filter((name) => holdsTrees?.(name))
  const prior = inUse.length === 1 ? inUse : all
  if (prior.length > 1)
    throw storageErrors.error('ambiguous_driver', {
      message: `${paths.root} holds data of several storage drivers: ${prior.join(', ')}. Name the one to use (storage.driver), or remove the directories of the others below ${dirname(paths.storage('any'))}.`,
      subject: { type: 'root', id: paths.root },
      details: { drivers: prior },
    })
  const [only = null] = prior
  if (only !== null && !definitions.some(({ name }) => name === only) && absentDriver(only) === null)
    throw storageErrors.error('unknown_driver', {
      message: `The data in ${paths.root} was made with storage driver "${only}", which is not registered (known: ${namesOf(definitions)}). Register it, or name another driver (storage.driver) and load the images again.`,
      subject: { type: 'storage driver', id: only },
    })
  return only
}

function listOf(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

async function named(
  name: string,
  definitions: readonly StorageDefinition[],
  options: ChooseOptions,
): Promise<ChosenDriver> {
  const subject = { type: 'storage driver', id: name }
  const definition = definitions.find((one) => one.name === name)
  if (!definition) {
    const absent = absentDriver(name)
    if (absent !== null)
      throw storageErrors.error('removed_driver', {
        message:
          options.driver === undefined
            ? `The data in ${options.paths.root} was made with storage driver "${name}". ${absent} Load the images again in another root, or remove ${options.paths.storage(name)}.`
            : absent,
        subject,
      })
    throw storageErrors.error('unknown_driver', {
      message: `There is no storage driver "${name}". Known are: ${namesOf(definitions)}. Others are registered with Engine.open({ drivers: [...] }).`,
      subject,
      details: { known: definitions.map((one) => one.name) },
    })
  }
  const { probe, ...chosen } = await tryDriver(definition, options)
  if (probe.usable) {
    reportWarnings(name, probe, options.diagnostics)
    return { ...chosen, facts: probe.facts }
  }
  removeIfEmpty(chosen.context)
  throw storageErrors.error('unusable_driver', {
    message: `Storage driver "${name}" does not work here. It lacks: ${describe(probe.missing)}.${options.driver === undefined ? ' The data of this root was made with it, so no other driver was tried.' : ''}`,
    subject,
    details: { missing: probe.missing },
  })
}

async function firstUsable(definitions: readonly StorageDefinition[], options: ChooseOptions): Promise<ChosenDriver> {
  const refusals: { driver: string; missing: readonly MissingRequirement[] }[] = []
  for (const definition of definitions) {
    const { probe, ...chosen } = await tryDriver(definition, options)
    if (probe.usable) {
      for (const { driver, missing } of refusals)
        options.diagnostics({
          level: 'warning',
          source: 'storage',
          message: `Storage driver "${driver}" does not work here, "${definition.name}" is used. It lacks: ${describe(missing)}.`,
        })
      reportWarnings(definition.name, probe, options.diagnostics)
      return { ...chosen, facts: probe.facts }
    }
    removeIfEmpty(chosen.context)
    refusals.push({ driver: definition.name, missing: probe.missing })
  }
  throw storageErrors.error('none_usable', {
    message: `No storage driver works on this machine. ${refusals.map(({ driver, missing }) => `"${driver}" lacks: ${describe(missing)}.`).join(' ') || 'None is registered.'}`,
    subject: { type: 'root', id: options.paths.root },
    details: { refusals },
  })
}

async function tryDriver(definition: StorageDefinition, options: ChooseOptions) {
  const parsed = definition.parseOptions(options.driverOptions)
  const { host, diagnostics, paths } = options
  const directory = paths.storage(definition.name)
  const runDirectory = join(paths.run, 'drivers', 'storage', definition.name)
  for (const made of [directory, runDirectory]) mkdirSync(made, { recursive: true, mode: 0o700 })
  const context: DriverContext = { directory, runDirectory, host, diagnostics }
  const probe = await definition.probe(context, parsed, { signal: options.signal })
  return { definition, context, options: parsed, probe }
}

/** A directory that a driver would not use must not pass for its data at the next open. */
function removeIfEmpty({ directory, runDirectory }: DriverContext): void {
  for (const path of [directory, runDirectory]) {
    try {
      rmdirSync(path)
    } catch {
      // Not empty, or another process is looking at it as well.
    }
  }
}

function reportWarnings(driver: string, probe: Extract<Probe, { usable: true }>, report: DiagnosticsSink): void {
  for (const message of probe.warnings ?? []) report({ level: 'warning', source: `storage.${driver}`, message })
}

const namesOf = (definitions: readonly StorageDefinition[]): string =>
  definitions.map(({ name }) => name).join(', ') || 'none'

const describe = (missing: readonly MissingRequirement[]): string =>
  missing.map(({ what, hint }) => `${what} (${hint})`).join('; ')
