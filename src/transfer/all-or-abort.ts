/**
 * Runs pieces of work side by side. When one fails the others' signal fires, and all have ended when this rejects, with
 * the first failure.
 */
export async function allOrAbort<T>(
  signal: AbortSignal,
  start: (signal: AbortSignal) => readonly Promise<T>[],
): Promise<T[]> {
  const controller = new AbortController()
  const forward = () => controller.abort(signal.reason)
  if (signal.aborted) forward()
  else signal.addEventListener('abort', forward, { once: true })
  const running = start(controller.signal)
  try {
    return await Promise.all(running)
  } catch (error) {
    controller.abort(error)
    await Promise.allSettled(running)
    throw error
  } finally {
    signal.removeEventListener('abort', forward)
  }
}
