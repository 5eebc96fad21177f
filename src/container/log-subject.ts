import type { LogSubject } from '../driver-kit/log-driver.ts'
import type { ContainerRecord } from './container-record.ts'

/** What log drivers learn about a container. */
export function subjectOfLog(record: ContainerRecord, directory: string): LogSubject {
  const { spec } = record
  return {
    containerId: record.id,
    containerName: record.name,
    imageName: spec.image.name,
    imageId: spec.image.id,
    createdAt: record.createdAt,
    command: spec.argv,
    labels: spec.labels,
    env: Object.fromEntries(
      spec.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
    ),
    directory,
  }
}
