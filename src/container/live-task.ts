import type { RuntimeTask } from '../driver-kit/runtime-driver.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { readBundleSpec } from './bundle-spec.ts'
import type { ContainerRecord } from './container-record.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'

/** A handle on the running container: the holder's own, or one found through the runtime when another process holds it. */
export async function liveTask(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  call?: CallOptions,
): Promise<RuntimeTask | null> {
  const held = holder.get(record.id)
  if (held) return held.task
  const directory = services.paths.container(record.id)
  const spec = readBundleSpec(directory)
  if (!spec) return null
  const root = { target: services.paths.containerRoot, mounts: [] }
  return services.runtime.adopt(record.id, { directory, spec, root }, call)
}
