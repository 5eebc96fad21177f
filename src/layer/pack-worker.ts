import { parentPort, workerData } from 'node:worker_threads'
import { ThreadStop } from '../host/thread-stop.ts'
import { ChangeList, type TreeChange } from './change-list.ts'
import type { ChangeVisitor } from './change-visitor.ts'
import { confineThread, confineThreadToNamespace, JobConfinement } from './confine-thread.ts'
import type { ConfinedWorkerData, ConfinedWorkerMessage } from './confined-worker.ts'
import { LayerTar } from './layer-tar.ts'
import { visitOverlayChanges } from './overlay-changes.ts'
import type { ChangeSubject, PackJob, PackResult } from './pack-tar.ts'
import { packTree } from './pack-tree.ts'
import { TarOutput } from './tar-output.ts'
import { visitTreeChanges } from './tree-changes.ts'
import { WithoutMountPoints } from './without-mount-points.ts'
import { describeFailure } from './worker-failure.ts'

const { job: only, stop: shared } = workerData as ConfinedWorkerData<PackJob>
const stop = new ThreadStop(shared)

const post = (message: ConfinedWorkerMessage<unknown>) => parentPort?.postMessage(message)

type Confine = (trees: Parameters<typeof confineThread>[0], root: string, work: () => void) => void

/** Writes one tree, or what changed in it, as a tar, or lists that; confined to it like the unpacking thread. */
function run(job: PackJob, confine: Confine): PackResult | readonly TreeChange[] {
  if (job.task === 'list') {
    const list = new ChangeList()
    visitChanges(job.subject, list, confine)
    return list.sorted()
  }
  const { subject, disk, digest } = job
  const onBytes = (bytes: number) => {
    stop.check()
    post({ type: 'progress', bytes })
  }
  const output = new TarOutput(job.output, { onWait: stop.check, onBytes, disk, digest })
  const pack = () => packTree(Buffer.from('/'), output, stop.check)
  if (subject.kind === 'tree') confine([subject.tree], subject.tree.target, pack)
  else if (subject.kind === 'changes') visitChanges(subject, new LayerTar(output), confine)
  else {
    confineThreadToNamespace(subject.namespace)
    pack()
  }
  output.finish()
  const { bytes, entries, fileBytes } = output
  return { bytes, entries, fileBytes, digest: output.digest }
}

function runUnlessStopped(job: PackJob, confine: Confine): ReturnType<typeof run> {
  using working = stop.begin()
  if (!working) stop.check()
  return run(job, confine)
}

function visitChanges(subject: ChangeSubject, visitor: ChangeVisitor, confine: Confine): void {
  const { format, older, newer, directory, xattrPrefix, mountPoints } = subject
  const below = (target: string) => Buffer.from(target.slice(directory.length))
  const before = older && below(older.target)
  const shown = mountPoints.length === 0 ? visitor : new WithoutMountPoints(visitor, mountPoints)
  confine(older ? [older, newer] : [newer], directory, () => {
    if (format === 'overlay') visitOverlayChanges(before, below(newer.target), xattrPrefix, shown, stop.check)
    else visitTreeChanges(before, below(newer.target), shown, stop.check)
  })
}

function answer(job: PackJob, confine: Confine): void {
  try {
    post({ type: 'done', result: runUnlessStopped(job, confine) })
  } catch (error) {
    post({ type: 'failed', failure: describeFailure(error, 'a tree was read') })
  }
}

// With a job the thread does that one; without, one after the other.
if (only) {
  answer(only, (trees, root, work) => {
    confineThread(trees, root)
    work()
  })
} else {
  const confinement = new JobConfinement()
  parentPort?.on('message', (job: PackJob) => answer(job, (trees, root, work) => confinement.run(trees, root, work)))
}
