import { defineErrors } from './family.ts'

/** Failures of the engine as a whole. */
export const engineErrors = defineErrors('engine', {
  bad_driver: {
    kind: 'invalid_argument',
    help: 'A driver definition is malformed: a field is missing or of the wrong type.',
  },
  driver_kit_mismatch: {
    kind: 'unsupported',
    help: 'The driver was written for another version of the driver kit. Use a version of it that fits.',
  },
  unknown_driver: {
    kind: 'invalid_argument',
    help: 'No driver of this type and name is registered; the message lists those that are.',
  },
  no_usable_driver: {
    kind: 'unsupported',
    help: 'No driver of a type works on this machine; the message says what each one lacks.',
  },
  not_privileged: { kind: 'permission_denied', help: 'The engine needs root with CAP_SYS_ADMIN. Run it as root.' },
  unshareable_driver: {
    kind: 'unsupported',
    help: 'Detached containers run in another process, which can load a driver only from a module. Give the definition a `module` URL.',
  },
})
