import { parentPort, workerData } from 'node:worker_threads'
import { confineThread } from './confine-thread.ts'
import type { PackJob, PackWorkerMessage } from './pack-tar.ts'
import { packOverlayChanges, packTree, packTreeChanges } from './pack-tree.ts'
import { TarOutput } from './tar-output.ts'
import { describeFailure } from './worker-failure.ts'

const root = Buffer.from('/')

/** Writes one tree, or what changed in it, as a tar; confined to it like the unpacking thread. */
function run(job: PackJob): { bytes: number; entries: number } {
  const output = new TarOutput(job.output)
  const { what } = job
  if (what.kind === 'changed-tree') {
    confineThread(
      [what.older, what.newer].filter((tree) => tree !== null),
      what.directory,
    )
    const older = what.older && Buffer.from(what.older.target.slice(what.directory.length))
    packTreeChanges(older, Buffer.from(what.newer.target.slice(what.directory.length)), output)
  } else {
    confineThread([what.tree], what.tree.target)
    if (what.kind === 'tree') packTree(root, output)
    else packOverlayChanges(root, output)
  }
  output.finish()
  return { bytes: output.bytes, entries: output.entries }
}

const post = (message: PackWorkerMessage) => parentPort?.postMessage(message)

try {
  post({ type: 'done', result: run(workerData as PackJob) })
} catch (error) {
  post({ type: 'failed', failure: describeFailure(error, 'a tar was written') })
}
