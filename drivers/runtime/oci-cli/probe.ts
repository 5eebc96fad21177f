import type { CallOptions, DriverContext, Probe } from 'tscontainer/driver-kit'
import type { OciCliOptions } from './options.ts'
import { findRuntime } from './runtime-program.ts'

/** Tries crun, then runc, each with a container of its own making; what works is remembered until the next boot. */
export async function probe(context: DriverContext, options: OciCliOptions, call?: CallOptions): Promise<Probe> {
  const found = await findRuntime(context, options, call)
  if (!('seccompForm' in found)) return { usable: false, missing: found }
  return { usable: true, facts: found.facts, ...(found.warnings.length > 0 && { warnings: found.warnings }) }
}
