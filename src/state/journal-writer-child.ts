// A thread with the root open that appends an event for each number it is sent.
import { parentPort, workerData } from 'node:worker_threads'
import { EventJournal } from './event-journal.ts'
import { openState } from './open-state.ts'

const state = openState(workerData as string)
const journal = new EventJournal(state.db, state.paths)
parentPort!.on('message', (number: number) =>
  journal.append({ type: 'engine', action: 'test', subject: String(number) }, 'durable'),
)
parentPort!.postMessage('open')
