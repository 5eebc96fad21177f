import { parseOptionObject } from '../driver-kit/options.ts'
import { containerErrors } from '../errors/container-errors.ts'
import type { ContainerRecord, ContainerStatus, Lifetime } from './container-record.ts'

/** Which containers to list; conditions of several fields must all hold, values of one field are alternatives. */
export interface ContainerFilter {
  /** Default: every state. */
  readonly status?: ContainerStatus | readonly ContainerStatus[]
  /** Id prefix. */
  readonly id?: string
  /** Part of the name. */
  readonly name?: string
  /** Label that must be there, with its value unless that is undefined. */
  readonly labels?: Readonly<Record<string, string | undefined>>
  /** Image name as given at creation, id or id prefix. */
  readonly image?: string
  readonly lifetime?: Lifetime
  /** Exit code of the last run. */
  readonly exitCode?: number
}

const statuses: readonly ContainerStatus[] = [
  'creating',
  'created',
  'starting',
  'running',
  'paused',
  'exited',
  'removing',
]

const text = (value: unknown, key: string): string => {
  if (typeof value === 'string') return value
  throw bad(key, value, 'text')
}

const bad = (key: string, value: unknown, wanted: string) =>
  containerErrors.error('bad_spec', {
    message: `The filter "${key}" is ${JSON.stringify(value)}; it takes ${wanted}.`,
    details: { field: key },
  })

/** Checks a filter and makes the predicate. */
export function containerPredicate(filter: ContainerFilter | undefined): (record: ContainerRecord) => boolean {
  const wanted = parseOptionObject('containers.list', filter, {
    status: (value, key) => {
      const list = Array.isArray(value) ? value : [value]
      for (const item of list) if (!statuses.includes(item)) throw bad(key, item, `one of ${statuses.join(', ')}`)
      return list as readonly ContainerStatus[]
    },
    id: text,
    name: text,
    labels: (value, key) => {
      if (typeof value !== 'object' || value === null) throw bad(key, value, 'an object of labels')
      return value as Readonly<Record<string, string | undefined>>
    },
    image: text,
    lifetime: (value, key) => {
      if (value === 'process' || value === 'detached') return value
      throw bad(key, value, "'process' or 'detached'")
    },
    exitCode: (value, key) => {
      if (typeof value === 'number') return value
      throw bad(key, value, 'a number')
    },
  })
  return (record) => {
    const { spec } = record
    const hex = spec.image.id.slice(spec.image.id.indexOf(':') + 1)
    return (
      (wanted.status ? wanted.status.includes(record.status) : record.status !== 'creating') &&
      (wanted.id === undefined || record.id.startsWith(wanted.id)) &&
      (wanted.name === undefined || record.name.includes(wanted.name)) &&
      (wanted.lifetime === undefined || record.lifetime === wanted.lifetime) &&
      (wanted.exitCode === undefined || record.exit?.exitCode === wanted.exitCode) &&
      (wanted.image === undefined ||
        spec.image.name === wanted.image ||
        spec.image.id === wanted.image ||
        hex.startsWith(wanted.image)) &&
      Object.entries(wanted.labels ?? {}).every(
        ([key, value]) => Object.hasOwn(spec.labels, key) && (value === undefined || spec.labels[key] === value),
      )
    )
  }
}
