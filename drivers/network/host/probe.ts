import type { Probe } from 'tscontainer/driver-kit'

/** Needs nothing. */
export const probeHost = async (): Promise<Probe> => ({ usable: true, facts: {} })
