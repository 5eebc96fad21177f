import { defineErrors } from 'tscontainer/driver-kit'

/** Failures of the network driver bridge. */
export const bridgeErrors = defineErrors('bridge', {
  bad_subnet: {
    kind: 'unsupported',
    help: 'A bridge network has one or more IPv4 subnets; IPv6 subnets are not supported by this version.',
  },
})
