import type { Probe } from 'tscontainer/driver-kit'

/** Files are to be had everywhere. */
export const probeJsonFile = async (): Promise<Probe> => ({ usable: true, facts: {} })
