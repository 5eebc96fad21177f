import { defineErrors } from 'tscontainer/driver-kit'

/** Failures of the log driver json-file. */
export const jsonFileErrors = defineErrors('json_file', {
  open_failed: { kind: 'unavailable', help: 'The log file could not be opened or repaired; the cause has the errno.' },
  write_failed: {
    kind: 'resource_exhausted',
    help: 'The log file could not be written, most often because the disk is full. Make room; nothing is lost meanwhile.',
  },
  read_failed: { kind: 'unavailable', help: 'The log file could not be read; the cause has the errno.' },
  closed: { kind: 'failed_precondition', help: 'The log was used after its disposal.' },
})
