import type { CallOptions, DriverContext, MissingRequirement, Probe } from 'tscontainer/driver-kit'
import { isEngineError } from 'tscontainer/driver-kit'
import type { BridgeOptions } from './options.ts'

/** Asks the kernel whether it takes the firewall rules that every bridge needs. */
export async function probeBridge(
  { host }: DriverContext,
  _options: BridgeOptions,
  call?: CallOptions,
): Promise<Probe> {
  try {
    await host.links.find('lo', call)
    await host.firewall.probe(call)
    return { usable: true, facts: { firewall: 'nf_tables' } }
  } catch (error) {
    const missing = missingRequirement(error)
    if (!missing) throw error
    return { usable: false, missing: [missing] }
  }
}

function missingRequirement(error: unknown): MissingRequirement | null {
  if (isEngineError(error, { kind: 'permission_denied' }))
    return {
      what: 'capability CAP_NET_ADMIN',
      hint: 'Run as root; inside a container start that one privileged. The networks none and host work without it.',
    }
  if (isEngineError(error, { kind: 'unsupported' }))
    return {
      what: 'kernel nf_tables',
      hint: 'Use a kernel with nf_tables, nft_chain_nat, nft_masq and nft_ct, or the networks none and host.',
    }
  return null
}
