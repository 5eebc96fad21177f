import { parentPort, workerData } from 'node:worker_threads'
import { LauncherLoop } from './launcher-loop.ts'
import type { LauncherData } from './launcher-protocol.ts'
import { ThreadStop } from './thread-stop.ts'

// The entry of the launcher's worker thread.
if (!parentPort) throw new TypeError('launcher-thread runs as a worker thread only')
const { wake, stop: shared } = workerData as LauncherData
const stop = new ThreadStop(shared)
{
  using working = stop.begin()
  if (working) {
    const loop = new LauncherLoop(parentPort, wake, stop)
    loop.run()
    loop.close()
  }
}
process.exit(0)
