import { defineErrors } from 'tscontainer/driver-kit'

/** Failures of this driver beyond those of the contract (`runtime.*`). */
export const ociCliErrors = defineErrors('oci_cli', {
  unusable: {
    kind: 'unsupported',
    help: 'No OCI runtime works on this machine. Install crun or runc; the details say what was tried and what it said.',
  },
})
