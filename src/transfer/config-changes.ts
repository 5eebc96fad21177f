import { posix } from 'node:path'
import { transferErrors } from '../errors/transfer-errors.ts'
import type { ImageRunConfig } from '../oci/image-config.ts'
import { parseSignal } from '../runtime/signals.ts'

type Changeable = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] }

const bad = (line: string, why: string) =>
  transferErrors.error('bad_change', {
    message: `The change ${JSON.stringify(line)} is not understood: ${why}.`,
    details: { change: line },
  })

/**
 * Applies changes as `docker import --change` takes them: lines of a Dockerfile that alter the configuration.
 *
 * @throws `transfer.bad_change`
 */
export function applyConfigChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const result: Changeable = { ...config }
  for (const line of changes) {
    const match = /^\s*([A-Za-z]+)\s+([\s\S]*\S)\s*$/.exec(line)
    if (!match) throw bad(line, 'it must read INSTRUCTION value')
    const instruction = match[1]!.toUpperCase()
    const apply = Object.hasOwn(instructions, instruction) ? instructions[instruction] : undefined
    if (!apply)
      throw bad(line, `${instruction} does not change a configuration; ${Object.keys(instructions).join(', ')} do`)
    apply(result, match[2]!, line)
  }
  return result
}

const instructions: Readonly<Record<string, (config: Changeable, value: string, line: string) => void>> = {
  CMD: (config, value, line) => {
    config.Cmd = command(value, line)
  },
  ENTRYPOINT: (config, value, line) => {
    config.Entrypoint = command(value, line)
  },
  ENV: (config, value, line) => {
    const env = new Map((config.Env ?? []).map((entry) => [entry.slice(0, entry.indexOf('=')), entry]))
    for (const [key, text] of pairs(value, line)) env.set(key, `${key}=${text}`)
    config.Env = [...env.values()]
  },
  EXPOSE: (config, value, line) => {
    const ports: Record<string, object> = { ...config.ExposedPorts }
    for (const port of value.split(/\s+/)) {
      const parsed = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(port)
      if (!parsed || Number(parsed[1]) > 65535) throw bad(line, `"${port}" is no port`)
      ports[`${Number(parsed[1])}/${(parsed[2] ?? 'tcp').toLowerCase()}`] = {}
    }
    config.ExposedPorts = ports
  },
  LABEL: (config, value, line) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs(value, line)) }
  },
  ONBUILD: (config, value) => {
    config.OnBuild = [...(config.OnBuild ?? []), value]
  },
  STOPSIGNAL: (config, value) => {
    parseSignal(value)
    config.StopSignal = value
  },
  USER: (config, value, line) => {
    if (/\s/.test(value)) throw bad(line, 'a user has no spaces')
    config.User = value
  },
  VOLUME: (config, value, line) => {
    const paths = value.startsWith('[') ? words(value, line) : value.split(/\s+/)
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) }
  },
  WORKDIR: (config, value) => {
    // Relative ones go on from the one before.
    config.WorkingDir = posix.resolve('/', config.WorkingDir ?? '', unquoted(value))
  },
  HEALTHCHECK: (config, value, line) => {
    config.Healthcheck = healthcheck(value, line)
  },
}

const durations = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
} as const

/** `[--interval=30s ...] CMD command`, or `NONE`. Source: Dockerfile reference, HEALTHCHECK. */
function healthcheck(value: string, line: string): NonNullable<ImageRunConfig['Healthcheck']> {
  const numbers: Record<string, number> = {}
  let rest = value
  for (let option = nextOption.exec(rest); option; option = nextOption.exec(rest)) {
    const [whole, name = '', text = ''] = option
    if (name === 'retries') {
      if (!/^[1-9]\d{0,8}$/.test(text)) throw bad(line, `"${text}" is no number of retries`)
      numbers['Retries'] = Number(text)
    } else if (Object.hasOwn(durations, name))
      numbers[durations[name as keyof typeof durations]] = nanoseconds(text, line)
    else throw bad(line, `--${name} is no option of a health check`)
    rest = rest.slice(whole.length)
  }
  if (/^none$/i.test(rest)) {
    if (Object.keys(numbers).length > 0) throw bad(line, 'NONE takes no options')
    return { Test: ['NONE'] }
  }
  const test = /^CMD\s+([\s\S]+)$/i.exec(rest)?.[1]
  if (test === undefined) throw bad(line, 'a health check is NONE, or CMD with a command')
  return { Test: test.startsWith('[') ? ['CMD', ...words(test, line)] : ['CMD-SHELL', test], ...numbers }
}

const nextOption = /^--([a-z-]+)=(\S+)\s+/

const units = { h: 3_600_000_000_000, m: 60_000_000_000, s: 1_000_000_000, ms: 1_000_000 } as const

/** A duration as Go writes it, such as `1m30s`; health checks begin at a millisecond. */
function nanoseconds(text: string, line: string): number {
  if (!/^(\d{1,9}(\.\d{1,9})?(h|ms|m|s))+$/.test(text)) throw bad(line, `"${text}" is no time such as 30s or 1m30s`)
  let sum = 0
  for (const [, number, unit] of text.matchAll(/([\d.]+)(h|ms|m|s)/g)) sum += Number(number) * units[unit as 'h' | 'm']
  if (sum < units.ms || sum > Number.MAX_SAFE_INTEGER) throw bad(line, `${text} is too short or too long`)
  return Math.round(sum)
}

const unquoted = (value: string): string => /^"([^"]*)"$/.exec(value)?.[1] ?? value

const command = (value: string, line: string): readonly string[] =>
  value.startsWith('[') ? words(value, line) : ['/bin/sh', '-c', value]

function words(value: string, line: string): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(value)
    if (Array.isArray(parsed) && parsed.every((word) => typeof word === 'string')) return parsed
  } catch {
    // Told below.
  }
  throw bad(line, 'a value that begins with [ must be a JSON list of texts')
}

/** `KEY=value KEY2="two words"`, or the old form `KEY value`. */
function pairs(value: string, line: string): [string, string][] {
  const found: [string, string][] = []
  const pattern = /\s*("(?:[^"\\]|\\.)+"|[^\s="]+)=("(?:[^"\\]|\\.)*"|'[^']*'|(?:[^\s\\"']|\\.)*)(?=\s|$)/y
  while (pattern.lastIndex < value.length) {
    const match = pattern.exec(value)
    if (!match) {
      const old = found.length === 0 ? /^([^\s=]+)\s+([\s\S]+)$/.exec(value) : null
      if (!old) throw bad(line, 'it must be KEY=value, with quotes around a value that has spaces')
      return [[old[1]!, old[2]!]]
    }
    found.push([plain(match[1]!), plain(match[2]!)])
  }
  return found
}

/** A word without its quotes and backslashes. */
function plain(word: string): string {
  if (word.startsWith("'")) return word.slice(1, -1)
  if (word.startsWith('"')) return word.slice(1, -1).replaceAll(/\\(["\\$])/g, '$1')
  return word.replaceAll(/\\(.)/g, '$1')
}
