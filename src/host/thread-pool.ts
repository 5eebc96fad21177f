import { access } from 'node:fs'

/**
 * Starts libuv's pool of threads, if nothing has yet, from the calling thread. Its threads take over the namespaces and
 * the root of whoever makes the first call: call this before a thread that will confine itself is started, or the whole
 * process would read files there ever after.
 */
export function startThreadPool(): void {
  access('/', () => {})
}
