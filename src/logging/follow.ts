import type { LogQuery } from '../driver-kit/log-driver.ts'

/** What to read, and whether to go on with what comes. */
export interface FollowQuery extends LogQuery {
  /** Go on until the output ends. Default true for `pump.follow`. */
  readonly follow?: boolean | undefined
  /**
   * Put the pieces of long lines together again, up to 1 MiB a line; longer lines come in their pieces. A rejoined line
   * has the time and sequence of its last piece. Default true; false gives the entries as stored.
   */
  readonly rejoin?: boolean | undefined
}
