import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DriverContext } from '../driver-kit/context.ts'
import type { AnyDriverDefinition, DriverDefinition, MissingRequirement, Probe } from '../driver-kit/definition.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import { storageErrors } from '../errors/storage-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { RootPaths } from '../state/paths.ts'

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
  readonly diagnostics: DiagnosticsSink
}

/** Names that people may still ask for, and what to tell them. */
const removedDrivers: Readonly<Record<string, string>> = {
  overlay:
    'The old driver "overlay" runs out of inodes (it links every file of every layer) and was never fit for production. Use "overlay2".',
  aufs: 'The file system aufs never became part of Linux, and current kernels do not have it. Use "overlay2".',
}

/**
 * Chooses the storage driver of a data root. A named one is taken or refused, never replaced. Without a name: the one
 * that the root's data was made with; on a new root the first that works.
 */
export async function chooseStorageDriver(options: ChooseOptions): Promise<ChosenDriver> {
  const definitions = options.definitions.filter(isStorage)
  const wanted = options.driver ?? priorDriver(options.paths, definitions)
  return wanted === null ? firstUsable(definitions, options) : named(wanted, definitions, options)
}

const isStorage = (definition: AnyDriverDefinition): definition is StorageDefinition => definition.type === 'storage'

/** The driver whose data the root holds; null on a new root. */
function priorDriver(paths: RootPaths, definitions: readonly StorageDefinition[]): string | null {
  const prior = listOf(dirname(paths.storage('any'))).filter((name) =>
    listOf(paths.storage(name)).some((entry) => !entry.startsWith('probe-')),
  )
  if (prior.length > 1)
    throw storageErrors.error('ambiguous_driver', {
      message: `${paths.root} holds data of several storage drivers: ${prior.sort().join(', ')}. Name the one to use (storage.driver), or remove the directories of the others below ${dirname(paths.storage('any'))}.`,
      subject: { type: 'root', id: paths.root },
      details: { drivers: prior },
    })
  const [only = null] = prior
  if (only !== null && !definitions.some(({ name }) => name === only) && !Object.hasOwn(removedDrivers, only))
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
    const removed = Object.hasOwn(removedDrivers, name) ? removedDrivers[name] : undefined
    if (removed) throw storageErrors.error('removed_driver', { message: removed, subject })
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
