/** Random moments per kind of death. TSCONTAINER_MOMENTS sets another number, for trying. */
export const moments = Number(
  process.env['TSCONTAINER_MOMENTS'] ?? (process.env['TSCONTAINER_FULL'] === '1' ? 1000 : 200),
)

/** For a test of that many: a second each is usual, and a busy machine takes several times as long. */
export const momentsTimeout = 60_000 + moments * 10_000

/** Park and Miller's generator: the same seed gives the same story. Gives whole numbers from 0 to below `below`. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = ((seed * 48271 + 1) % 2147483646) + 1
  return (below) => {
    state = (state * 48271) % 2147483647
    return state % below
  }
}
