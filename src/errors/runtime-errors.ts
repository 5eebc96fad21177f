import { defineErrors } from './family.ts'

/** Failures of starting programs in containers, and of the values that describe how. */
export const runtimeErrors = defineErrors('runtime', {
  start_failed: {
    kind: 'failed_precondition',
    help: 'The OCI runtime could not start the container (exit code 125). Its own words are in the message and the details.',
  },
  command_not_found: {
    kind: 'not_found',
    help: 'The program does not exist in the container (exit code 127). Check the spelling, PATH and the image.',
  },
  command_not_executable: {
    kind: 'failed_precondition',
    help: 'The program exists but cannot be executed (exit code 126): no execute permission, a directory, a wrong format or a missing interpreter.',
  },
  not_running: { kind: 'conflict', help: 'The container has ended; the call needs it running.' },
  operation_failed: {
    kind: 'unavailable',
    help: 'The OCI runtime or the kernel refused an operation on a running container; the details have its words.',
  },
  bad_user: {
    kind: 'invalid_argument',
    help: 'The user or group is not in the passwd or group file of the image, or its number is out of range. Give a number, or a name that the image has.',
  },
  bad_resource: {
    kind: 'invalid_argument',
    help: 'A resource limit has the wrong type or an impossible value; the message names it.',
  },
  unsupported_resource: {
    kind: 'unsupported',
    help: 'The cgroups of this machine have no such limit. Leave it out, or enable the controller that the message names.',
  },
  bad_ulimit: {
    kind: 'invalid_argument',
    help: 'A ulimit has an unknown name or an impossible value; the message lists the names.',
  },
  unsupported_ulimit: {
    kind: 'unsupported',
    help: 'This process may not give so high a limit (it lacks CAP_SYS_RESOURCE, or fs.nr_open is lower). Lower the ulimit, or raise the limit of the process.',
  },
  bad_capability: {
    kind: 'invalid_argument',
    help: 'No capability has this name; the message lists them. See capabilities(7).',
  },
  unsupported_capability: {
    kind: 'unsupported',
    help: 'A process gives others only capabilities that it has itself. Run it with more, or leave the capability out.',
  },
  bad_security: {
    kind: 'invalid_argument',
    help: 'A security option has the wrong type or an impossible value; the message names it.',
  },
  bad_sysctl: {
    kind: 'invalid_argument',
    help: 'Only kernel settings that a container has for itself can be set for one: those of its network, its shared memory and its message queues.',
  },
  bad_device: {
    kind: 'invalid_argument',
    help: 'A device or a rule for devices is not usable; the message names it.',
  },
  device_missing: {
    kind: 'not_found',
    help: 'The device is not on this host. Load its driver, or leave it out.',
  },
  bad_signal: {
    kind: 'invalid_argument',
    help: 'No such signal. Give a name (`SIGTERM`, `TERM`, `SIGRTMIN+3`) or a number from 1 to 64.',
  },
  bad_command: {
    kind: 'invalid_argument',
    help: 'A command, variable or directory of the process is not usable; the message says which.',
  },
  bad_mount: { kind: 'invalid_argument', help: 'A mount of the container is not usable; the message names it.' },
  bad_profile: { kind: 'invalid_argument', help: 'A seccomp profile has an unknown action, operator or architecture.' },
})
