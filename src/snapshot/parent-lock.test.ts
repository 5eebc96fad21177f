import { expect, test } from 'vitest'
import { ParentLock } from './parent-lock.ts'

test('a removal waits for a slow user also when a later one was quicker', async () => {
  const lock = new ParentLock()
  const slow = Promise.withResolvers<void>()
  const order: string[] = []
  const using = lock.use('a', () => slow.promise).then(() => order.push('used'))
  await lock.use('a', async () => {})
  const removing = lock.remove('a', async () => order.push('removed'))
  await new Promise(setImmediate)
  slow.resolve()
  await Promise.all([using, removing])
  expect(order).toEqual(['used', 'removed'])
})

test('a user that comes during a removal waits for it, whether it fails or not', async () => {
  const lock = new ParentLock()
  const order: string[] = []
  const failing = lock.remove('a', async () => {
    await new Promise(setImmediate)
    order.push('failed')
    throw new Error('in use')
  })
  const using = lock.use('a', async () => order.push('used'))
  await expect(failing).rejects.toThrow('in use')
  await using
  expect(order).toEqual(['failed', 'used'])
})
