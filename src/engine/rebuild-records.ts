import type { CallOptions } from '../lifetime/call-options.ts'
import { Scope } from '../lifetime/scope.ts'
import { diagnoseRecords } from '../state/diagnose-records.ts'
import { finishRebuild, openState, prepareRoot } from '../state/open-state.ts'
import { RootPaths } from '../state/paths.ts'
import { reserveRecords } from '../state/records-lock.ts'
import { setRecordsAside } from '../state/set-aside.ts'
import { type ConsistencyReport, checkEngine } from './check-engine.ts'
import { coreParts } from './core-parts.ts'
import { coreTokens } from './core-tokens.ts'
import { defaultRoot, type ParsedEngineOptions } from './engine-options.ts'
import { definePart } from './parts.ts'
import { endMonitor } from './root-processes.ts'
import { wire } from './wiring.ts'

/**
 * Builds the records of a root anew where they cannot be read; null when they can. Steps, each of which may be the last
 * before a kill: the monitor is ended (detached containers run on); the damaged database is renamed; empty records are
 * made and marked as unfinished; what is on disk is recorded, which can be done any number of times; the mark goes. Until
 * then nobody else can open the root, and the next repair goes on.
 *
 * @throws `state.in_use` while other engines have the root open
 */
export async function rebuildRecords(
  options: ParsedEngineOptions,
  force: boolean,
  call?: CallOptions,
): Promise<ConsistencyReport | null> {
  const paths = new RootPaths(options.root ?? defaultRoot)
  if (!force && diagnoseRecords(paths) === 'good') return null
  prepareRoot(paths)
  using _monitor = await endMonitor(paths, call)
  using _lock = await reserveRecords(paths)
  const diagnosis = diagnoseRecords(paths)
  // Somebody else has done it meanwhile.
  if (!force && diagnosis === 'good') return null
  const setAside = diagnosis === 'unfinished' ? null : setRecordsAside(paths)
  const scope = new Scope()
  try {
    const state = definePart(coreTokens.state, () => scope.own(openState(paths.root, 'rebuild')))
    const parts = wire([...coreParts(options, 'engine', scope), ...(options.parts ?? []), state])
    parts.get(coreTokens.owner)
    parts.get(coreTokens.owners).sweepLocks()
    parts.get(coreTokens.host).prepare()
    const problems = await checkEngine(parts, { repair: true }, call)
    finishRebuild(parts.get(coreTokens.state).db)
    return { problems, setAside }
  } finally {
    await scope[Symbol.asyncDispose]()
  }
}
