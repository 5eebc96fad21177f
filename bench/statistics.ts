import { setTimeout as sleep } from 'node:timers/promises'

/** The middle value; with an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** One way to do a row's work. `once` does it and gives back what it took, in the row's unit. */
export interface Contestant {
  readonly name: string
  once(round: number): Promise<number>
}

/** Longer than the kernel's lock on moves into cgroups stays quick after somebody used it (RCU, 10 to 20 ms). */
const restMs = 30

/**
 * Runs the contestants in turns, so that whatever the machine does meanwhile hits all of them; each begins after a rest,
 * or it would profit from what the one before it left warm in the kernel.
 */
export async function interleave(
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Readonly<Record<string, number>>> {
  const samples = new Map(contestants.map(({ name }) => [name, [] as number[]]))
  // The first round warms caches and counts for nobody.
  for (let round = 0; round <= rounds; round++)
    for (const { name, once } of contestants) {
      await sleep(restMs)
      const value = await once(round)
      if (round > 0) samples.get(name)!.push(value)
    }
  return Object.fromEntries([...samples].map(([name, values]) => [name, median(values)]))
}
