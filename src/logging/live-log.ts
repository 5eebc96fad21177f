import type { LogReader, LogSink } from '../driver-kit/log-driver.ts'
import type { RecentEntries } from './recent-entries.ts'

/** The part of a driver's reader that followers use. */
export type StoredReader = Pick<LogReader, 'read' | 'readBatches'>

/** What a sink can read back; null when it cannot. */
export function readerOf(sink: LogSink): StoredReader | null {
  if (!sink.read) return null
  const readBatches = sink.readBatches?.bind(sink)
  return { read: sink.read.bind(sink), ...(readBatches && { readBatches }) }
}

/** What followers see of a running pump. */
export interface LiveLog {
  readonly recent: RecentEntries
  /** The stored log; null when its driver cannot read back. */
  readonly reader: StoredReader | null
  /** No entry will come any more, and all are stored. */
  readonly ended: boolean
  readonly arrivals: Arrivals
  /** Recent entries are kept for it until the returned function is called. */
  addFollower(): () => void
  /** The container waits at its full pipe until the returned function is called. */
  hold(): () => void
  /** A follower without a stored log to go back to was too slow. */
  reportGap(entries: number): void
}

/** Wakes everybody who waits for something to happen. */
export class Arrivals {
  #waiting = new Set<() => void>()

  /** Resolves at the next `announce`, after `ms`, or when `cancel` is called. */
  wait(ms = Number.POSITIVE_INFINITY): { readonly promise: Promise<void>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<void>()
    // Node's timers end at 2^31 ms; who waits longer just looks again.
    const timer = ms === Number.POSITIVE_INFINITY ? null : setTimeout(() => cancel(), Math.min(ms, 0x7fff_ffff))
    const cancel = () => {
      if (timer) clearTimeout(timer)
      this.#waiting.delete(cancel)
      resolve()
    }
    this.#waiting.add(cancel)
    return { promise, cancel }
  }

  announce(): void {
    if (this.#waiting.size === 0) return
    for (const wake of [...this.#waiting]) wake()
  }
}
