import { parentPort, workerData } from 'node:worker_threads'
import { LauncherLoop } from './launcher-loop.ts'

// The entry of the launcher's worker thread.
if (!parentPort) throw new TypeError('launcher-thread runs as a worker thread only')
const loop = new LauncherLoop(parentPort, (workerData as { readonly wake: number }).wake)
loop.run()
loop.close()
process.exit(0)
