import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EventJournal } from './event-journal.ts'
import { openState } from './open-state.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tscontainer-journal-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

test('a reader hears of every event of another writer, also while the disk has yet to confirm it', async () => {
  const state = openState(root)
  const writer = new Worker(new URL('./journal-writer-child.ts', import.meta.url), { workerData: root })
  try {
    await once(writer, 'message')
    const stop = new AbortController()
    const journal = new EventJournal(state.db, state.paths)
    const events = journal.read({ signal: stop.signal })[Symbol.asyncIterator]()
    // Each is waited for: a wake-up that is lost is not made good by the next event.
    for (let number = 1; number <= 300; number++) {
      const pending = events.next()
      writer.postMessage(number)
      expect((await pending).value.subject).toBe(String(number))
    }
    stop.abort()
    expect((await events.next()).done).toBe(true)
  } finally {
    await writer.terminate()
    state[Symbol.dispose]()
  }
})
