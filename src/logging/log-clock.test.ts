import { expect, test } from 'vitest'
import { LogClock } from './log-clock.ts'

test('follows the system’s clock, never runs back, and catches up after the clock was set back', () => {
  let wall = 1_000_000_000_000n
  let tick = 0n
  const clock = new LogClock(
    0n,
    () => wall,
    () => tick,
  )
  const after = (ms: bigint) => {
    wall += ms * 1_000_000n
    tick += ms * 1_000_000n
    return clock.now()
  }
  expect(after(10n)).toBe(wall)
  wall += 3_600_000_000_000n
  expect(after(1n)).toBe(wall)
  let last = clock.now()
  wall -= 60_000_000_000n
  for (let second = 0; second < 130; second++) {
    const now = after(1000n)
    expect(now > last).toBe(true)
    last = now
  }
  expect(last - wall < 1_000_000_000n).toBe(true)
})

test('begins no earlier than it is told', () => {
  expect(new LogClock(5n, () => 1n).now() >= 5n).toBe(true)
})
