import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { ThreadStop } from './thread-stop.ts'

const other = (stop: ThreadStop) => new ThreadStop(stop.shared)

test('who is asked notices at its next check, and begins nothing any more', () => {
  const stop = new ThreadStop()
  const thread = other(stop)
  {
    using working = thread.begin()
    expect(working).not.toBeNull()
    thread.check()
    stop.ask()
    expect(thread.asked).toBe(true)
    expect(() => thread.check()).toThrow('asked to stop')
  }
  expect(thread.begin()).toBeNull()
})

test('waiting ends when the thread rests, at once when it does, and in the end without it', async () => {
  const stop = new ThreadStop()
  stop.waitForRest(60_000)
  const file = new URL('./thread-stop.ts', import.meta.url).href
  const worker = new Worker(
    `import { parentPort, workerData } from 'node:worker_threads'
     const { ThreadStop } = await import(${JSON.stringify(file)})
     const stop = new ThreadStop(workerData)
     const working = stop.begin()
     parentPort.postMessage('working')
     while (!stop.asked);
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30)
     working[Symbol.dispose]()`,
    { eval: true, workerData: stop.shared },
  )
  await new Promise((resolve) => worker.once('message', resolve))
  const begun = performance.now()
  stop.waitForRest(20)
  expect(performance.now() - begun).toBeGreaterThan(15)
  stop.ask()
  stop.waitForRest(60_000)
  expect(stop.shared[1]).toBe(0)
  await worker.terminate()
})
