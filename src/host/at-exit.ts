import { memo } from './memo.ts'

/** What it gives back is called when all hooks have been: for waiting, since what one waits for another one may let go. */
export type ExitHook = () => (() => void) | null

// One listener of the process, however many engines it has: Node warns of a leak at the eleventh.
const hooks = memo(() => {
  const all = new Set<ExitHook>()
  process.on('exit', () => {
    const last = [...all].map((hook) => settled(hook))
    for (const wait of last) if (wait) settled(wait)
  })
  return all
})

// Nobody is left to hear of a failure, and the other hooks are to be called.
function settled<T>(hook: () => T): T | null {
  try {
    return hook()
  } catch {
    return null
  }
}

/** Calls `hook` when the process ends by itself; gives back what takes that back. */
export function atExit(hook: ExitHook): () => void {
  hooks().add(hook)
  return () => hooks().delete(hook)
}
