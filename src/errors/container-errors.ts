import { defineErrors } from './family.ts'

/** Failures about containers. */
export const containerErrors = defineErrors('container', {
  not_found: { kind: 'not_found', help: 'No container has this id, id prefix or name.' },
  ambiguous: { kind: 'invalid_argument', help: 'Several containers start with this id prefix. Give more digits.' },
  name_taken: {
    kind: 'already_exists',
    help: 'Another container has this name. Remove or rename it, or choose another.',
  },
  bad_name: {
    kind: 'invalid_argument',
    help: 'Names are 2 to 128 letters, digits, `_`, `.` and `-`, and start with a letter or digit.',
  },
  bad_spec: { kind: 'invalid_argument', help: 'A field of the container spec is wrong; the message names it.' },
  unsupported_option: {
    kind: 'unsupported',
    help: 'The option exists but this version cannot do it yet; it is never ignored.',
  },
  no_command: {
    kind: 'invalid_argument',
    help: 'Neither the image nor the spec says what to run. Give `command` or `entrypoint`.',
  },
  not_running: { kind: 'conflict', help: 'The call needs a running container. Start it first.' },
  running: { kind: 'conflict', help: 'The call needs a container that does not run. Stop it, or use `force`.' },
  busy: { kind: 'conflict', help: 'Another call is starting or removing the container. Try again when it is done.' },
  held_elsewhere: {
    kind: 'conflict',
    help: 'The container belongs to another process of lifetime `process`; only that one can do this.',
  },
  stop_failed: {
    kind: 'timeout',
    help: 'The processes did not end even after SIGKILL. They are stuck in the kernel; see the state in the details.',
  },
  no_stdin: { kind: 'failed_precondition', help: 'The container was created without `stdin: true`.' },
  monitor_unavailable: {
    kind: 'unavailable',
    help: 'The process that holds detached containers did not start or answer. Its log is run/monitor.log below the root.',
  },
  mount_source_missing: {
    kind: 'not_found',
    help: 'The source of a bind mount does not exist on this host. Make it, or set `createSource`.',
  },
  log_unreadable: {
    kind: 'unsupported',
    help: 'The log driver of the container cannot read back. Look where it delivers to.',
  },
  lost: {
    kind: 'data_loss',
    help: 'The container ended while nobody held it (a reboot, or its runtime was killed): its exit status is not known.',
  },
})
