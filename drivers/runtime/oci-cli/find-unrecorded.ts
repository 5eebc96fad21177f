import { join } from 'node:path'
import { type CallOptions, type DriverHost, type RuntimeDriver, throwIfAborted } from 'tscontainer/driver-kit'
import { bundleFiles, endTime, readNumberLine, readPid, type TaskRecord, writeTask } from './bundle-files.ts'
import { cgroupOf } from './cgroup-path.ts'
import { wrapperAlive } from './detached-wrapper.ts'
import { readRuntimeLog } from './runtime-log.ts'

export type AdoptedBundle = Parameters<RuntimeDriver['adopt']>[1]

/** How long a runtime whose starter died may take to bring its program up. */
const startMs = 10_000
const lookMs = 5

/** Whether all that lies here is of a run that ended before the one that is looked for. */
export function isOfEarlierRun({ directory, endedBefore }: AdoptedBundle): boolean {
  if (!endedBefore || wrapperAlive(directory)) return false
  const end = endTime(directory)
  return end !== null && end <= endedBefore
}

/**
 * Finds a detached container whose starter died between its start and the record of it. The runtime goes on by itself:
 * a program that is about to be executed is waited for, so that it is known whether it was. Null when it never was.
 */
export async function findUnrecorded(
  host: DriverHost,
  { directory, spec }: AdoptedBundle,
  call?: CallOptions,
): Promise<TaskRecord | null> {
  const path = cgroupOf(spec)
  if (path === null) return null
  const deadline = performance.now() + startMs
  while (wrapperAlive(directory) && performance.now() < deadline) {
    const pid = readPid(join(directory, bundleFiles.pid))
    const init = pid !== null && host.cgroups.processes(path).includes(pid) ? host.processes.identityOf(pid) : null
    if (init) return recorded(directory, { init, lifetime: 'detached' })
    throwIfAborted(call, 'Looking for a container')
    await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
  // It has ended; one that could not be executed left a complaint.
  const pid = readPid(join(directory, bundleFiles.pid))
  const ended = readNumberLine(directory, bundleFiles.exit) !== null
  if (pid === null || !ended || readRuntimeLog(join(directory, bundleFiles.log)) !== '') return null
  const { bootId } = host.features()
  return recorded(directory, { init: { pid, startTime: '0', bootId }, lifetime: 'detached' })
}

function recorded(directory: string, record: TaskRecord): TaskRecord {
  writeTask(directory, record)
  return record
}
