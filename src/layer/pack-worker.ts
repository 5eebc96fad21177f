import { parentPort, workerData } from 'node:worker_threads'
import { ChangeList, type TreeChange } from './change-list.ts'
import type { ChangeVisitor } from './change-visitor.ts'
import { confineThread, confineThreadToNamespace } from './confine-thread.ts'
import type { ConfinedWorkerMessage } from './confined-worker.ts'
import { LayerTar } from './layer-tar.ts'
import { visitOverlayChanges } from './overlay-changes.ts'
import type { ChangeSubject, PackJob, PackResult } from './pack-tar.ts'
import { packTree } from './pack-tree.ts'
import { TarOutput } from './tar-output.ts'
import { visitTreeChanges } from './tree-changes.ts'
import { describeFailure } from './worker-failure.ts'

const post = (message: ConfinedWorkerMessage<unknown>) => parentPort?.postMessage(message)

/** Writes one tree, or what changed in it, as a tar, or lists that; confined to it like the unpacking thread. */
function run(job: PackJob): PackResult | readonly TreeChange[] {
  if (job.task === 'list') {
    const list = new ChangeList()
    visitChanges(job.subject, list)
    return list.sorted()
  }
  const { subject } = job
  const onBytes = (bytes: number) => post({ type: 'progress', bytes })
  const output = new TarOutput(job.output, { onBytes, durable: job.durable })
  if (subject.kind !== 'changes') {
    if (subject.kind === 'tree') confineThread([subject.tree], subject.tree.target)
    else confineThreadToNamespace(subject.namespace)
    packTree(Buffer.from('/'), output)
  } else visitChanges(subject, new LayerTar(output))
  output.finish()
  return { bytes: output.bytes, entries: output.entries }
}

function visitChanges(subject: ChangeSubject, visitor: ChangeVisitor): void {
  const { format, older, newer, directory, xattrPrefix } = subject
  confineThread(older ? [older, newer] : [newer], directory)
  const below = (target: string) => Buffer.from(target.slice(directory.length))
  const before = older && below(older.target)
  if (format === 'overlay') visitOverlayChanges(before, below(newer.target), xattrPrefix, visitor)
  else visitTreeChanges(before, below(newer.target), visitor)
}

try {
  post({ type: 'done', result: run(workerData as PackJob) })
} catch (error) {
  post({ type: 'failed', failure: describeFailure(error, 'a tree was read') })
}
