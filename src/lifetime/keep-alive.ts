/** Keeps the event loop, and with it the process, alive until disposal: for waits on what has no handle of its own. */
export function keepAlive(): Disposable {
  const timer = setInterval(() => {}, 2 ** 31 - 1)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
