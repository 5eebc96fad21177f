import { memo } from './memo.ts'

// One listener of the process, however many engines it has: Node warns of a leak at the eleventh.
const hooks = memo(() => {
  const all = new Set<() => void>()
  process.on('exit', () => {
    for (const hook of all) hook()
  })
  return all
})

/** Calls `hook` when the process ends by itself; gives back what takes that back. */
export function atExit(hook: () => void): () => void {
  hooks().add(hook)
  return () => hooks().delete(hook)
}
