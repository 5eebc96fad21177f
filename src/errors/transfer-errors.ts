import { defineErrors } from './family.ts'

/** Failures of moving images and root file systems in and out. */
export const transferErrors = defineErrors('transfer', {
  bad_change: {
    kind: 'invalid_argument',
    help: 'A configuration change is not understood. It reads like a Dockerfile line: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR, HEALTHCHECK.',
  },
})
