/** Where programs are looked for when neither the image nor the caller sets PATH; Docker's default. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface ProcessEnvInput {
  readonly hostname: string
  readonly home: string
  readonly terminal: boolean
  /** `KEY=value`, of the image and the container. */
  readonly env: readonly string[]
}

/** The whole environment of a process: PATH, HOSTNAME, TERM (with a terminal), HOME, each only where `env` has none. */
export function processEnv(input: ProcessEnvInput): readonly string[] {
  const names = new Set(input.env.map((entry) => entry.slice(0, entry.indexOf('='))))
  const own = [
    ['PATH', defaultPath],
    ['HOSTNAME', input.hostname],
    ...(input.terminal ? [['TERM', 'xterm']] : []),
    ['HOME', input.home],
  ]
  return [...own.flatMap(([name, value]) => (names.has(name!) ? [] : [`${name}=${value}`])), ...input.env]
}
