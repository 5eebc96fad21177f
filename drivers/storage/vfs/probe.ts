import type { CallOptions, DriverContext, MissingRequirement, Probe } from 'tscontainer/driver-kit'
import { isEngineError } from 'tscontainer/driver-kit'
import type { VfsOptions } from './options.ts'

/** vfs needs GNU cp and the right to change owners. */
export async function probe(context: DriverContext, _options: VfsOptions, call?: CallOptions): Promise<Probe> {
  const missing: MissingRequirement[] = []
  try {
    const { stdout } = await context.host.run('cp', ['--version'], { ...call, accept: [0, 1] })
    if (!stdout.includes('coreutils'))
      missing.push({ what: 'GNU cp', hint: 'install the package coreutils: other versions of cp lose attributes' })
  } catch (error) {
    if (isEngineError(error, { kind: 'aborted' })) throw error
    missing.push({ what: 'program cp', hint: 'install the package coreutils' })
  }
  const { capabilities } = context.host.features()
  for (const capability of ['CAP_CHOWN', 'CAP_FOWNER', 'CAP_DAC_OVERRIDE'])
    if (!capabilities.includes(capability)) missing.push({ what: `capability ${capability}`, hint: 'run as root' })
  return missing.length > 0
    ? { usable: false, missing }
    : {
        usable: true,
        facts: {},
        warnings: ['Storage driver vfs copies every layer whole: it is slow and needs much disk.'],
      }
}
