import { resumeLogPump } from '../logging/log-pump.ts'
import { readBundleSpec } from './bundle-spec.ts'
import { openSink } from './container-log.ts'
import type { ContainerRecord } from './container-record.ts'
import { reopenStdio, stdinEnded } from './container-stdio.ts'
import { adoptKeeper } from './keeper.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { hold, stdinOf } from './start-container.ts'
import { lostExitCode, sweepRuntime } from './sweep.ts'

/**
 * Takes over a detached container whose holder died: its pipes, its log, its end. One that ended meanwhile is settled
 * with the exit status it left; one whose status nobody can know any more (a reboot) becomes `exited` with code 255.
 */
export async function adoptContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
): Promise<void> {
  const directory = services.paths.container(record.id)
  const spec = readBundleSpec(directory)
  const task =
    spec === null
      ? null
      : await services.runtime.adopt(record.id, {
          directory,
          spec,
          root: { target: services.paths.containerRoot, mounts: [] },
          endedBefore: record.status === 'starting' ? record.exit?.finishedAt : undefined,
        })
  const stdio = task && reopenStdio(record.spec.stdin, directory)
  if (!task || !stdio) {
    // Of a start that failed only the runtime's complaints can be in the pipes.
    if (record.status !== 'starting') await storeRest(services, record, directory)
    await settleLost(services, record)
    return
  }
  services.records.move(record, ['starting', 'running', 'paused'], record.status === 'paused' ? 'paused' : 'running', {
    holder: services.owner.id,
    pid: task.pid,
    pidStart: task.startTime,
    ...(record.status === 'starting' ? { startedAt: new Date() } : {}),
  })
  await services.networks.adopt(record.id)
  const keeper = await adoptKeeper(services, directory, stdio.stdin)
  // Whoever ended it may have been killed before the keeper heard of it.
  if (stdinEnded(directory)) keeper.endStdin()
  const sink = await openSink(services, record)
  const pump = await resumeLogPump({
    stdout: stdio.stdout,
    stderr: stdio.stderr,
    sink,
    spoolDirectory: directory,
    diagnostics: services.diagnostics,
    adopted: true,
    subject: record.id,
  })
  const stdin = record.spec.stdin ? stdinOf(stdio.stdin, keeper, directory) : null
  hold(services, holder, record, { task, pump, sink, stdin, keeper, networking: null }, stdio.seesEnd)
}

// FIFOs outlive their writers only while somebody has them open: after a reboot they are empty, which is no error.
async function storeRest(services: ContainerServices, record: ContainerRecord, directory: string): Promise<void> {
  const stdio = reopenStdio(false, directory)
  if (!stdio) return
  const sink = await openSink(services, record)
  const pump = await resumeLogPump({
    stdout: stdio.stdout,
    stderr: stdio.stderr,
    sink,
    spoolDirectory: directory,
    diagnostics: services.diagnostics,
    adopted: true,
    subject: record.id,
  })
  await pump.drainAndFinish()
  await sink[Symbol.asyncDispose]()
}

async function settleLost(services: ContainerServices, record: ContainerRecord): Promise<void> {
  await sweepRuntime(services, record)
  await services.networks.detach(record.id, true)
  // A start that never came to its end is a failed start; the record goes back to where it was.
  const failedStart = record.status === 'starting'
  services.records.move(
    record,
    ['starting', 'running', 'paused'],
    failedStart && record.startedAt === null ? 'created' : 'exited',
    {
      holder: null,
      pid: null,
      pidStart: null,
      error: failedStart ? 'The process that started it was killed.' : 'It ended while nobody held it.',
      exit: { exitCode: failedStart ? 125 : lostExitCode, signal: null, oomKilled: false, finishedAt: new Date() },
    },
    {
      action: 'die',
      attributes: { exitCode: String(failedStart ? 125 : lostExitCode), signal: '', oomKilled: 'false' },
    },
  )
}
