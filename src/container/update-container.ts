import { containerErrors } from '../errors/container-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { type Resources, resolveResources } from '../runtime/resources.ts'
import type { ContainerRecord } from './container-record.ts'
import { liveTask } from './live-task.ts'
import type { LocalHolder } from './local-holder.ts'
import type { ContainerServices } from './services.ts'
import { isRunning } from './state-guards.ts'

/**
 * Changes limits of a container: of a running one at once, and for every later start. What is not named stays. When the
 * kernel refuses, nothing has changed.
 */
export async function updateContainer(
  services: ContainerServices,
  holder: LocalHolder,
  record: ContainerRecord,
  changes: Resources,
  call?: CallOptions,
): Promise<void> {
  const resources = mergeResources(record.spec.resources, changes)
  const wanted = resolveResources(resources, services.resourceSupport)
  if (isRunning(record)) {
    const task = await liveTask(services, holder, record, call)
    try {
      await task?.update(wanted, call)
    } catch (error) {
      // A runtime sets one limit after the other.
      await task?.update(resolveResources(record.spec.resources, services.resourceSupport)).catch(() => {})
      throw error
    }
  }
  if (services.records.setResources(record, resources)) return
  throw containerErrors.error('not_found', {
    message: `Container ${record.name} was removed while its limits were changed.`,
    subject: { type: 'container', id: record.id },
  })
}

/** `cpus` is short for quota and period, so either kind takes the place of the other. */
export function mergeResources(present: Resources, changes: Resources): Resources {
  const { cpus, cpuQuota, cpuPeriod, memorySwap, ...others } = present
  const byQuota = changes.cpuQuota !== undefined || changes.cpuPeriod !== undefined
  // Swap that was not asked for follows the memory.
  return {
    ...others,
    ...(memorySwap !== undefined && { memorySwap }),
    ...(cpus !== undefined && !byQuota && { cpus }),
    ...(cpuQuota !== undefined && changes.cpus === undefined && { cpuQuota }),
    ...(cpuPeriod !== undefined && changes.cpus === undefined && { cpuPeriod }),
    ...changes,
  }
}
