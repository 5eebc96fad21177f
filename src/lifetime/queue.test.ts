import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { WorkQueue } from './queue.ts'
import { Turns } from './turns.ts'

test('a queue runs so many at once, in order, also after failures', async () => {
  const queue = new WorkQueue(2)
  const begun: number[] = []
  const ends = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const calls = ends.map((end, n) =>
    queue.run(async () => {
      begun.push(n)
      await end.promise
      return n
    }),
  )
  await turn()
  expect(begun).toEqual([0, 1])
  ends[1]!.reject(new Error('broken'))
  await expect(calls[1]).rejects.toThrow('broken')
  await turn()
  expect(begun).toEqual([0, 1, 2])
  for (const n of [0, 2, 3, 4]) ends[n]!.resolve()
  expect(await Promise.all([calls[0], calls[2], calls[3], calls[4]])).toEqual([0, 2, 3, 4])
  expect(await queue.run(async () => 'again')).toBe('again')
})

test('an abort takes a call out of the queue, and only that', async () => {
  const queue = new WorkQueue(1)
  const first = Promise.withResolvers<void>()
  const running = queue.run(() => first.promise)
  const controller = new AbortController()
  let ran = false
  const waiting = queue.run(
    async () => {
      ran = true
    },
    { signal: controller.signal },
    'the second',
  )
  const third = queue.run(async () => 3)
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError', message: expect.stringContaining('the second') })
  await expect(queue.run(async () => 0, { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' })
  first.resolve()
  await running
  expect(await third).toBe(3)
  expect(ran).toBe(false)
})

test('one piece of work begins in each turn of the event loop; alone it does not wait', async () => {
  const turns = new Turns()
  expect(turns.next()).toBeUndefined()
  await turn()
  await turn()
  expect(turns.next()).toBeUndefined()
  const begun: number[] = []
  const all = [1, 2, 3].map(async (n) => {
    await turns.next()
    begun.push(n)
  })
  expect(begun).toEqual([])
  const seen: number[] = []
  for (let n = 0; n < 5; n++) {
    await turn()
    seen.push(begun.length)
  }
  expect(seen.at(-1)).toBe(3)
  // Never two between two looks.
  expect(seen.every((count, n) => count - (seen[n - 1] ?? 0) <= 1)).toBe(true)
  await Promise.all(all)
  expect(begun).toEqual([1, 2, 3])
})
