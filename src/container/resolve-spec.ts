import { parseOptionObject } from '../driver-kit/options.ts'
import { containerErrors } from '../errors/container-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { parseBytes } from '../runtime/byte-size.ts'
import { parseDeviceRule, parseDevices, resolveDevices } from '../runtime/devices.ts'
import { checkOomScore } from '../runtime/host-limits.ts'
import { mergeRunConfig } from '../runtime/merge-config.ts'
import { checkResources, type Resources } from '../runtime/resources.ts'
import { parseSecurity, resolveCapabilities, type Security } from '../runtime/security.ts'
import { checkSysctls } from '../runtime/sysctls.ts'
import { checkUlimits, type Ulimits } from '../runtime/ulimits.ts'
import { parseContainerName } from './container-name.ts'
import type { Lifetime } from './container-record.ts'
import type { ContainerSpec } from './container-spec.ts'
import { parseDuration } from './duration.ts'
import { parseMounts } from './parse-mounts.ts'
import type { ContainerServices } from './services.ts'
import type { StoredSpec } from './stored-spec.ts'

/** A spec that passed every check. */
export interface ResolvedSpec {
  readonly name: string | null
  readonly lifetime: Lifetime
  readonly onLog: ContainerSpec['onLog']
  readonly stored: Omit<StoredSpec, 'hostname'> & { readonly hostname: string | null }
}

const defaultStopTimeoutMs = 10_000
const defaultShmBytes = 64 << 20

/** Options of other engines that this one will have, each refused by name instead of ignored. */
const notYet: Readonly<Record<string, string>> = {
  tty: 'Terminals',
  restart: 'Restart policies',
  health: 'Health checks',
  ports: 'Published ports',
  init: 'An init process',
  volumes: 'Volumes',
  platform: 'The choice of a platform',
}

/** Checks a spec and merges it with its image's configuration. Nothing is made but missing bind sources. */
export async function resolveSpec(
  services: ContainerServices,
  spec: ContainerSpec,
  call?: CallOptions,
): Promise<ResolvedSpec> {
  const input = parseSpec(spec)
  const reference = input.image
  if (reference === undefined) throw bad('image', 'names the image to run', undefined)
  const image = await services.resolveImage(reference, call)
  const config = image.config.config ?? {}
  const run = mergeRunConfig(config, input)
  if (!run.command)
    throw containerErrors.error('no_command', {
      message: `Neither the image ${reference} nor the spec says what to run. Give command or entrypoint.`,
      subject: { type: 'image', id: image.id },
    })
  const lifetime = input.lifetime ?? 'process'
  if (lifetime === 'detached' && input.onLog)
    throw bad(
      'onLog',
      'is for containers of lifetime process; read the logs of a detached one with logs()',
      'a function',
    )
  const log = input.log ?? services.defaultLog
  if (input.sysctls) checkSysctls(input.sysctls, input.networks === 'host' ? 'host' : 'own')
  if (input.security) resolveCapabilities(input.security, services.capabilities)
  // Looked up again at each start; what is missing now is told now.
  if (input.devices) resolveDevices(input.devices)
  if (input.oomScoreAdj !== undefined) checkOomScore(input.oomScoreAdj, services.hostLimits)
  const driver = await services.logDriver(log.driver)
  driver.parseSinkOptions(log.options)
  return {
    name: input.name ?? null,
    lifetime,
    onLog: input.onLog,
    stored: {
      image: { id: image.id, manifest: image.manifest, name: reference, chain: image.chain },
      argv: run.command.argv,
      entrypointLength: run.command.entrypointLength,
      env: run.env,
      user: run.user,
      workdir: run.workdir,
      hostname: input.hostname ?? null,
      labels: { ...config.Labels, ...input.labels },
      stdin: input.stdin ?? false,
      autoRemove: input.autoRemove ?? false,
      networks: input.networks ?? [defaultNetwork],
      mounts: input.mounts ?? [],
      readOnlyRoot: input.readOnly ?? false,
      resources: input.resources ?? {},
      ulimits: input.ulimits ?? {},
      ...(input.groups !== undefined && { groups: input.groups }),
      ...(input.domainname !== undefined && { domainname: input.domainname }),
      ...(input.security !== undefined && { security: input.security }),
      ...(input.devices !== undefined && { devices: input.devices }),
      ...(input.deviceRules !== undefined && { deviceRules: input.deviceRules }),
      ...(input.sysctls !== undefined && { sysctls: input.sysctls }),
      ...(input.oomScoreAdj !== undefined && { oomScoreAdj: input.oomScoreAdj }),
      shmBytes: input.shmSize ?? defaultShmBytes,
      ...(input.storageSize !== undefined && { storageBytes: input.storageSize }),
      log,
      stopSignal: run.stopSignal,
      stopTimeoutMs: input.stopTimeout ?? (config.StopTimeout ? config.StopTimeout * 1000 : defaultStopTimeoutMs),
      exposedPorts: run.exposedPorts,
    },
  }
}

/** The network of containers that name none. */
export const defaultNetwork = 'bridge'

function parseSpec(spec: ContainerSpec) {
  for (const [key, value] of Object.entries(spec ?? {}))
    if (value !== undefined && Object.hasOwn(notYet, key))
      throw containerErrors.error('unsupported_option', {
        message: `${notYet[key]} ("${key}") are not in this version of tscontainer.`,
        details: { field: key },
      })
  return parseOptionObject('a container', spec, {
    image: (value, key) => {
      if (typeof value === 'string' && value !== '') return value
      if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string') return value.id
      throw bad(key, 'takes an Image, or its name or id', value)
    },
    name: (value, key) => parseContainerName(text(value, key)),
    command: words,
    entrypoint: (value, key) => (value === null ? null : words(value, key)),
    env: (value, key) => record(value, key, true),
    user: text,
    workdir: text,
    hostname: (value, key) => {
      const name = text(value, key)
      if (/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$/.test(name)) return name
      throw bad(key, 'takes 1 to 64 letters, digits, dots and dashes', value)
    },
    domainname: (value, key) => {
      const name = text(value, key)
      if (/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$/.test(name)) return name
      throw bad(key, 'takes 1 to 64 letters, digits, dots and dashes', value)
    },
    groups: (value, key) => {
      const isGroup = (group: unknown) =>
        typeof group === 'string' ? /^[^:\s]+$/.test(group) : Number.isInteger(group) && Number(group) >= 0
      if (Array.isArray(value) && value.every(isGroup)) return value.map(String)
      throw bad(key, 'takes a list of names and numbers', value)
    },
    security: (value, key) => parseSecurity(object(value, key) as Security),
    devices: (value, key) => {
      if (Array.isArray(value)) return parseDevices(value)
      throw bad(key, 'takes a list', value)
    },
    deviceRules: (value, key) => {
      const rules = words(value, key)
      for (const rule of rules) parseDeviceRule(rule)
      return rules
    },
    sysctls: (value, key) => record(value, key, false) as Readonly<Record<string, string>>,
    oomScoreAdj: (value, key) => {
      if (Number.isInteger(value) && Math.abs(value as number) <= 1000) return value as number
      throw bad(key, 'takes a whole number from -1000 to 1000', value)
    },
    labels: (value, key) => record(value, key, false) as Readonly<Record<string, string>>,
    stdin: flag,
    lifetime: (value, key) => {
      if (value === 'process' || value === 'detached') return value
      throw bad(key, "takes 'process' or 'detached'", value)
    },
    autoRemove: flag,
    networks: (value, key) => {
      if (value === 'none' || value === 'host') return value
      const list = words(value, key)
      for (const name of list)
        if (name !== defaultNetwork)
          throw containerErrors.error('unsupported_option', {
            message: `The network "${name}" cannot be joined by this version; it has "${defaultNetwork}", 'none' and 'host'.`,
            details: { field: key },
          })
      if (new Set(list).size < list.length) throw bad(key, 'names a network twice', value)
      return list.length === 0 ? 'none' : list
    },
    mounts: (value, key) => {
      if (Array.isArray(value)) return parseMounts(value)
      throw bad(key, 'takes a list', value)
    },
    readOnly: flag,
    resources: (value, key) => {
      const resources = object(value, key) as Resources
      checkResources(resources)
      return resources
    },
    ulimits: (value, key) => {
      const ulimits = object(value, key) as Ulimits
      checkUlimits(ulimits)
      return ulimits
    },
    shmSize: (value, key) => {
      const size = parseBytes(value)
      if (size !== null && size > 0) return size
      throw bad(key, "takes bytes or text such as '128m'", value)
    },
    storageSize: (value, key) => {
      const size = parseBytes(value)
      if (size !== null && size > 0) return size
      throw bad(key, "takes bytes or text such as '10g'", value)
    },
    log: (value, key) => {
      const parsed = parseOptionObject('log', object(value, key), {
        driver: text,
        options: (v, k) => record(v, k, false),
      })
      if (parsed.driver === undefined) throw bad(key, 'needs a driver', value)
      return { driver: parsed.driver, options: (parsed.options ?? {}) as Readonly<Record<string, string>> }
    },
    stopSignal: (value, key) => {
      if (typeof value === 'string' || typeof value === 'number') return value
      throw bad(key, 'takes a name or number', value)
    },
    stopTimeout: (value, key) => parseDuration(value as string | number, key),
    onLog: (value, key) => {
      if (typeof value === 'function') return value as NonNullable<ContainerSpec['onLog']>
      throw bad(key, 'takes a function', value)
    },
  })
}

function bad(key: string, wanted: string, value: unknown) {
  return containerErrors.error('bad_spec', {
    message: `The container's "${key}" ${wanted}; got ${JSON.stringify(value) ?? String(value)}.`,
    details: { field: key },
  })
}

function text(value: unknown, key: string): string {
  if (typeof value === 'string' && !value.includes('\0')) return value
  throw bad(key, 'takes text without NUL', value)
}

function flag(value: unknown, key: string): boolean {
  if (typeof value === 'boolean') return value
  throw bad(key, 'takes true or false', value)
}

function words(value: unknown, key: string): readonly string[] {
  if (Array.isArray(value)) return value.map((word) => text(word, key))
  throw bad(key, 'takes a list of words', value)
}

function object(value: unknown, key: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw bad(key, 'takes an object', value)
}

function record(value: unknown, key: string, unset: boolean): Readonly<Record<string, string | undefined>> {
  for (const [name, entry] of Object.entries(object(value, key)))
    if (!(unset && entry === undefined)) text(entry, `${key}.${name}`)
  return value as Readonly<Record<string, string | undefined>>
}
