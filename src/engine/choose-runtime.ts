import type { DriverContext } from '../driver-kit/context.ts'
import type { RuntimeDriver } from '../driver-kit/runtime-driver.ts'
import { engineErrors } from '../errors/engine-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { DriverRegistry } from './driver-registry.ts'

/**
 * Opens the runtime driver: the one that `choice` names, else the first that works. `choice` may be the name of a
 * registered driver, or a program that speaks the command line of crun and runc.
 */
export async function chooseRuntime(
  registry: DriverRegistry,
  choice: string | undefined,
  context: (name: string) => DriverContext,
  call?: CallOptions,
): Promise<RuntimeDriver> {
  const definitions = registry.all('runtime')
  const named = definitions.find((definition) => definition.name === choice)
  const candidates = named
    ? [{ definition: named, options: {} }]
    : definitions.map((definition) => ({
        definition,
        options: choice !== undefined && definition.name === ociCommandLine ? { binary: choice } : {},
      }))
  const lacking: string[] = []
  for (const { definition, options: input } of candidates) {
    const options = definition.parseOptions(input)
    const driver = context(definition.name)
    const probe = await definition.probe(driver, options, call)
    if (probe.usable) return definition.open(driver, options, call)
    lacking.push(...probe.missing.map(({ what, hint }) => `${definition.name}: ${what} (${hint})`))
  }
  throw engineErrors.error('no_usable_driver', {
    message: `No runtime works on this machine${choice === undefined ? '' : ` for "${choice}"`}. Missing: ${lacking.join('; ')}.`,
    subject: { type: 'runtime driver', id: choice ?? 'any' },
    details: { missing: lacking },
  })
}

/** The shipped driver that takes any program with the OCI command line. */
const ociCommandLine = 'oci-cli'
