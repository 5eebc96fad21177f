import { defineErrors } from './family.ts'

/** Failures of moving images and root file systems in and out. */
export const transferErrors = defineErrors('transfer', {
  bad_change: {
    kind: 'invalid_argument',
    help: 'A configuration change is not understood. It reads like a Dockerfile line: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR, HEALTHCHECK.',
  },
  unsupported_compression: {
    kind: 'unsupported',
    help: 'Layers can be packed as `none`, `gzip` or `zstd`; `zstd` needs the format `oci`.',
  },
  not_a_base: {
    kind: 'invalid_argument',
    help: 'The image named as base does not have the lowest layers of the image that is squashed.',
  },
})
