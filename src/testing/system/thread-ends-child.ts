// The built package: its threads start several times faster, and it is what runs at users'.
import { Writable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import { type CallOptions, Engine } from 'tscontainer'

// Ends its threads at many moments of their work. Arguments: root, archive of an image that nobody uses, what to do, and how
// many times or after how many milliseconds.
const [root = '', archive = '', what = 'abort', number = '100'] = process.argv.slice(2)

const open = () => Engine.open({ root, diagnostics: () => {} })

/** Loads it, and takes it away again, so that the next load unpacks it. */
async function load(engine: Engine, options: CallOptions = {}): Promise<void> {
  const images = await engine.images.load(archive, options)
  for (const image of images) await image.remove()
}

/** Calls of every kind that has a thread, each aborted a little later than the one before; tells how many were. */
async function abortAll(engine: Engine, times: number): Promise<void> {
  await using container = await engine.containers.run({
    image: 'busybox:local',
    networks: 'none',
    command: ['sleep', '1000'],
  })
  const tar = `${root}/../exported.tar`
  const kinds: readonly ((call: CallOptions) => Promise<unknown>)[] = [
    (call) => load(engine, call),
    async (call) => (await container.commit({ ...call })).remove(),
    (call) => Array.fromAsync(container.diff(call)),
    (call) => container.exportRootfs(tar, call),
  ]
  let aborted = 0
  for (let nth = 0; nth < times; nth++)
    for (const kind of kinds) {
      try {
        await kind({ signal: AbortSignal.timeout(1 + (nth % 80)) })
      } catch (error) {
        if ((error as Error).name !== 'AbortError') throw error
        aborted++
      }
    }
  await container.remove({ force: true })
  await engine.gc()
  const { problems } = await engine.check()
  process.stdout.write(`${aborted} aborted, ${problems.length} problems\n`)
}

/** To nobody who reads it: the thread waits in the middle of a write. */
async function exportOn(engine: Engine, call?: CallOptions): Promise<void> {
  await using container = await engine.containers.create({
    image: 'busybox:local',
    command: ['true'],
    networks: 'none',
  })
  await container.exportRootfs(new Writable({ write: () => setInterval(() => {}, 1000) }), call)
}

/** The abort has begun to clear up when the process ends. */
async function abortAndExit(engine: Engine, afterMs: number): Promise<void> {
  const abort = new AbortController()
  setTimeout(() => {
    abort.abort()
    process.exit(7)
  }, afterMs)
  await exportOn(engine, { signal: abort.signal })
}

/** An engine in a thread of its own, which is ended from outside while an export waits for its reader. */
async function endThread(afterMs: number): Promise<never> {
  const argv = [root, archive, 'exit-export', '1000000']
  const thread = new Worker(new URL(import.meta.url), { argv, trackUnmanagedFds: false })
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  if (what === 'terminate') await thread.terminate()
  process.exit(7)
}

if (what === 'terminate' || what === 'exit-around') await endThread(Number(number))
const engine = await open()
if (what === 'abort') {
  await abortAll(engine, Number(number))
  await engine[Symbol.asyncDispose]()
} else if (what === 'abort-and-exit') await abortAndExit(engine, Number(number))
else {
  setTimeout(() => process.exit(7), Number(number))
  if (what === 'exit-export') await exportOn(engine)
  for (;;) await load(engine)
}
