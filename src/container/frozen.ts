import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tryLock, waitLock } from '../host/file-lock.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { isRunning, requireRunning, stateConflict } from './state-guards.ts'

/** What works on a frozen container lets it go on as soon as it can; at the end at the latest. */
export type FrozenWork<T> = (record: ContainerRecord, thaw: () => Promise<void>) => Promise<T>

/**
 * Runs `work` while a running container is frozen; one that is paused already, or does not run, stays as it is. The lock
 * lets one at a time do so, in all processes, and the kernel takes it from one that dies: what that one froze is found by
 * the mark, and let go on by the next engine that opens the root.
 */
export async function whileFrozen<T>(
  services: ContainerServices,
  holder: LocalHolder,
  id: ContainerRecord['id'],
  work: FrozenWork<T>,
  call: CallOptions,
): Promise<T> {
  const asItIs = (record: ContainerRecord) => work(record, async () => {})
  const record = services.records.require(id)
  const { lock: lockFile, mark } = filesOf(services, record)
  if (record.status !== 'running' && !existsSync(mark)) return asItIs(record)
  using _lock = await waitLock(lockFile, call)
  const now = services.records.require(id)
  if (now.status !== 'running' && !existsSync(mark)) return asItIs(now)
  writeFileSync(mark, '', { mode: 0o600 })
  const goOn = async () => {
    if (!existsSync(mark)) return
    await thaw(services, holder, id)
    rmSync(mark, { force: true })
  }
  try {
    if (now.status === 'running') await freeze(services, holder, now, call)
    return await work(services.records.require(id), goOn)
  } finally {
    await goOn()
  }
}

/**
 * Freezes every process of a running container, or lets them go on; in turn with what works on the frozen container, which
 * lets it go on at its end.
 */
export async function setPaused(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  paused: boolean,
  call?: CallOptions,
): Promise<void> {
  if (!isRunning(record)) return changePaused(services, holder, record, paused, call)
  const { lock: lockFile, mark } = filesOf(services, record)
  using _lock = await waitLock(lockFile, call)
  if (existsSync(mark)) await thaw(services, holder, record.id)
  // Killed on the way, nobody could say that it is paused: then it goes on.
  writeFileSync(mark, '', { mode: 0o600 })
  try {
    await changePaused(services, holder, services.records.require(record.id), paused, call)
  } catch (error) {
    if (paused) await thaw(services, holder, record.id)
    throw error
  } finally {
    rmSync(mark, { force: true })
  }
}

async function changePaused(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  paused: boolean,
  call?: CallOptions,
): Promise<void> {
  const what = paused ? 'pause' : 'unpause'
  requireRunning(record, what)
  if ((record.status === 'paused') === paused) return
  const task = await liveTask(services, holder, record, call)
  if (paused) await task?.pause(call)
  else await task?.resume(call)
  const [from, to] = paused ? (['running', 'paused'] as const) : (['paused', 'running'] as const)
  const moved = services.records.move(record, [from], to, {}, { action: what })
  if (!moved) throw stateConflict(services.records.require(record.id), what)
}

async function freeze(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  call: CallOptions,
): Promise<void> {
  try {
    await changePaused(services, holder, record, true, call)
  } catch (error) {
    // Else it has ended meanwhile, which is as good.
    if (services.records.find(record.id)?.status === 'running') throw error
  }
}

/** Lets a container go on that a process froze, or was just freezing, which is dead now. */
export async function thawAbandoned(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
): Promise<void> {
  const { lock: lockFile, mark } = filesOf(services, record)
  if (!existsSync(mark)) return
  using lock = tryLock(lockFile)
  if (!lock) return
  await thaw(services, holder, record.id)
  rmSync(mark, { force: true })
}

/** Whatever its record says: a process may have died between the two. */
async function thaw(services: ContainerServices, holder: LocalHolder, id: ContainerRecord['id']): Promise<void> {
  const record = services.records.find(id)
  if (!record || !isRunning(record)) return
  try {
    const task = await liveTask(services, holder, record)
    await task?.resume()
  } catch (error) {
    const now = services.records.find(id)
    // Else it has ended meanwhile.
    if (now && isRunning(now)) throw error
  }
  const moved = services.records.move(record, ['paused'], 'running', {}, { action: 'unpause' })
  // Who died while it recorded the pause may have come as far as the copy.
  if (!moved) services.records.rewriteCopy(record.id)
}

const filesOf = ({ paths }: ContainerServices, { id }: ContainerRecord) => ({
  lock: join(paths.container(id), 'freeze.lock'),
  mark: join(paths.container(id), 'frozen'),
})
