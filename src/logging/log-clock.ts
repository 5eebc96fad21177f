const millisecond = 1_000_000n

/**
 * The time of log entries: the system's clock with the resolution of the monotonic one, never running back. When the
 * system's clock is set back, entries keep their order and the log's clock goes at half speed until it has caught up.
 */
export class LogClock {
  readonly #wall: () => bigint
  readonly #monotonic: () => bigint
  #last: bigint
  #lastTick: bigint

  constructor(
    notBefore = 0n,
    wall: () => bigint = () => BigInt(Date.now()) * millisecond,
    monotonic: () => bigint = () => process.hrtime.bigint(),
  ) {
    this.#wall = wall
    this.#monotonic = monotonic
    this.#lastTick = monotonic()
    const start = wall()
    this.#last = start > notBefore ? start : notBefore
  }

  now(): bigint {
    const tick = this.#monotonic()
    const elapsed = tick - this.#lastTick
    this.#lastTick = tick
    const wall = this.#wall()
    const expected = this.#last + elapsed
    const ahead = expected - wall
    // The system's clock is read in whole milliseconds: within one of it the monotonic clock knows better.
    if (ahead < 0n) this.#last = wall
    else if (ahead < 2n * millisecond) this.#last = expected
    else this.#last += elapsed / 2n
    return this.#last
  }
}
