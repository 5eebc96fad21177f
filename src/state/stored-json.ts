import { stateErrors } from '../errors/state-errors.ts'

/** Reads a JSON column that we wrote. `what` names the record for people. @throws `state.corrupt` */
export function parseStoredJson<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw stateErrors.error('corrupt', {
      message: `The record of ${what} cannot be read. Run \`tscontainer check --repair\`: it builds the records anew from what is on disk.`,
      subject: { type: 'record', id: what },
      cause: error,
    })
  }
}
