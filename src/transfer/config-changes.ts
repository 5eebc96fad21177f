import { posix } from 'node:path'
import { transferErrors } from '../errors/transfer-errors.ts'
import type { ImageRunConfig } from '../oci/image-config.ts'
import { parseSignal } from '../runtime/signals.ts'
import { expandWord, splitWords } from './dockerfile-words.ts'

type Changeable = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] }

const bad = (line: string, why: string) =>
  transferErrors.error('bad_change', {
    message: `The change ${JSON.stringify(line)} is not understood: ${why}.`,
    details: { change: line },
  })

/**
 * Applies changes as `docker import --change` takes them: lines of a Dockerfile that alter the configuration. Words may
 * name its environment (`ENV PATH=/opt/bin:$PATH`); a new entry point takes the command of an image below away.
 *
 * @throws `transfer.bad_change`
 */
export function applyConfigChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const result: Changeable = { ...config }
  let hasOwnCommand = false
  for (const line of changes) {
    const match = /^\s*([A-Za-z]+)\s+([\s\S]*\S)\s*$/.exec(line)
    if (!match) throw bad(line, 'it must read INSTRUCTION value')
    const instruction = match[1]!.toUpperCase()
    const apply = Object.hasOwn(instructions, instruction) ? instructions[instruction] : undefined
    if (!apply)
      throw bad(line, `${instruction} does not change a configuration; ${Object.keys(instructions).join(', ')} do`)
    if (instruction === 'CMD') hasOwnCommand = true
    if (instruction === 'ENTRYPOINT' && !hasOwnCommand) delete result.Cmd
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
    const env = environment(config)
    for (const [key, text] of pairs(config, value, line)) env.set(key, text)
    config.Env = [...env].map(([key, text]) => `${key}=${text}`)
  },
  EXPOSE: (config, value, line) => {
    const ports: Record<string, object> = { ...config.ExposedPorts }
    for (const word of splitWords(value)) {
      const port = expanded(config, word, line)
      const [, first, last = first, protocol = 'tcp'] =
        /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(port) ?? []
      if (first === undefined || Number(last) > 65535 || Number(last) < Number(first))
        throw bad(line, `"${port}" is no port`)
      for (let at = Number(first); at <= Number(last); at++) ports[`${at}/${protocol.toLowerCase()}`] = {}
    }
    config.ExposedPorts = ports
  },
  LABEL: (config, value, line) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs(config, value, line)) }
  },
  ONBUILD: (config, value) => {
    config.OnBuild = [...(config.OnBuild ?? []), value]
  },
  STOPSIGNAL: (config, value, line) => {
    const signal = expanded(config, value, line)
    parseSignal(signal)
    config.StopSignal = signal
  },
  USER: (config, value, line) => {
    const user = expanded(config, value, line)
    if (/\s/.test(user)) throw bad(line, 'a user has no spaces')
    config.User = user
  },
  VOLUME: (config, value, line) => {
    const paths = (jsonWords(value, line) ?? splitWords(value)).map((path) => expanded(config, path, line))
    if (paths.includes('')) throw bad(line, 'a volume has a path')
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) }
  },
  WORKDIR: (config, value, line) => {
    // Relative ones go on from the one before.
    config.WorkingDir = posix.resolve('/', config.WorkingDir ?? '', expanded(config, value, line))
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
  const words = jsonWords(test, line)
  return { Test: words ? ['CMD', ...words] : ['CMD-SHELL', test], ...numbers }
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

const command = (value: string, line: string): readonly string[] => jsonWords(value, line) ?? ['/bin/sh', '-c', value]

/** Null for what a shell is to read, `[ -f x ] && y` too. */
function jsonWords(value: string, line: string): readonly string[] | null {
  if (!value.startsWith('[')) return null
  try {
    const parsed: unknown = JSON.parse(value)
    if (Array.isArray(parsed) && parsed.every((word) => typeof word === 'string')) return parsed
  } catch {
    if (/^\[\s/.test(value)) return null
  }
  throw bad(line, 'a value that begins with [ must be a JSON list of texts')
}

const environment = ({ Env = [] }: ImageRunConfig): Map<string, string> =>
  new Map(
    (Env ?? []).map((entry) => {
      const [key = '', ...text] = entry.split('=')
      return [key, text.join('=')]
    }),
  )

const expanded = (config: ImageRunConfig, word: string, line: string): string =>
  expandWord(word, environment(config), (why) => bad(line, why))

/** `KEY=value KEY2="two words"`, or the old form `KEY value`. */
function pairs(config: ImageRunConfig, value: string, line: string): [string, string][] {
  const wanted = 'it must be KEY=value, with quotes around a value that has spaces'
  const words = splitWords(value)
  const old = words[0]?.includes('=') ? null : /^(\S+)\s+([\s\S]+)$/.exec(value)
  const found = old ? [old] : words.map((word) => /^("(?:[^"\\]|\\.)*"|[^=]*)=([\s\S]*)$/.exec(word))
  return found.map((match) => {
    const key = match && expanded(config, match[1]!, line)
    if (!key) throw bad(line, wanted)
    return [key, expanded(config, match[2]!, line)]
  })
}
