import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { throwIfAborted } from '../lifetime/call-options.ts'
import { RunningCalls, type SignalledCall } from './running-calls.ts'

/** Until its signal fires, and then a while longer. */
async function work(call: SignalledCall, undone: () => void): Promise<never> {
  for (;;) {
    if (call.signal.aborted) {
      await sleep(20)
      undone()
    }
    throwIfAborted(call, 'The work')
    await sleep(1)
  }
}

test('the end aborts what runs, and waits until it is undone', async () => {
  const calls = new RunningCalls()
  let undone = 0
  const running = [
    calls.run(undefined, (call) => work(call, () => undone++)),
    calls.run({ signal: new AbortController().signal }, (call) => work(call, () => undone++)),
    calls.operation((context) => work(context, () => undone++), undefined, 'The operation'),
  ]
  const settled = Promise.allSettled(running)
  await sleep(5)
  await calls.end()
  expect(undone).toBe(3)
  for (const end of await settled)
    expect(end).toMatchObject({
      status: 'rejected',
      reason: { code: 'call.disposed', cause: { code: 'call.aborted' } },
    })
})

test('after the end there are no more calls', async () => {
  const calls = new RunningCalls()
  await calls.end()
  let begun = false
  const late = calls.run(undefined, async () => {
    begun = true
  })
  await expect(late).rejects.toMatchObject({ code: 'call.disposed' })
  expect(begun).toBe(false)
})

test('the signal of a caller aborts its call alone, with its own error', async () => {
  const calls = new RunningCalls()
  const controller = new AbortController()
  const aborted = calls.run(controller, (call) => work(call, () => {}))
  const other = calls.run(undefined, async ({ signal }) => {
    await sleep(50)
    return signal.aborted
  })
  controller.abort(new Error('why'))
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError', code: 'call.aborted' })
  expect(await other).toBe(false)
})

test('errors of the work itself stay what they are', async () => {
  const calls = new RunningCalls()
  const failing = calls.run(undefined, async () => {
    await sleep(5)
    throw new RangeError('on purpose')
  })
  const settled = expect(failing).rejects.toThrow(RangeError)
  await calls.end()
  await settled
})

test('a reader that does something else holds nobody up', async () => {
  const calls = new RunningCalls()
  const numbers = calls.iterate(undefined, async function* (call) {
    for (let n = 0; ; n++) {
      throwIfAborted(call, 'Counting')
      yield n
    }
  })
  expect((await numbers.next()).value).toBe(0)
  await calls.end()
  await expect(numbers.next()).rejects.toMatchObject({ code: 'call.disposed' })
})

test('a reader with a signal only', async () => {
  const calls = new RunningCalls()
  const controller = new AbortController()
  const [own, none] = [calls.signal(controller.signal), calls.signal(undefined)]
  controller.abort()
  expect([own.aborted, none.aborted]).toEqual([true, false])
  await calls.end()
  expect(none.aborted).toBe(true)
})
