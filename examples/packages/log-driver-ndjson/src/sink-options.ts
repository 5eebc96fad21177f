import { isAbsolute } from 'node:path'
import { callErrors, parseOptionObject } from 'tscontainer/driver-kit'

export interface SinkOptions {
  /** Absolute path of the collector's socket. */
  readonly socket: string
  /** How many entries wait in memory while the collector is away. Default 10,000. */
  readonly buffer: number
}

const bad = (message: string, key: string) => callErrors.error('bad_option', { message, details: { key } })

function parsePath(value: unknown, key: string): string {
  if (typeof value === 'string' && isAbsolute(value)) return value
  throw bad(`${key} of the log driver ndjson must be an absolute path, got ${JSON.stringify(value)}.`, key)
}

function parseCount(value: unknown, key: string): number {
  if (typeof value === 'string' && /^[1-9][0-9]{0,8}$/.test(value)) return Number(value)
  throw bad(`${key} of the log driver ndjson must be a whole number from 1, got ${JSON.stringify(value)}.`, key)
}

export function parseSinkOptions(input: Readonly<Record<string, string>>): SinkOptions {
  const options = parseOptionObject('the log driver ndjson', input, { socket: parsePath, buffer: parseCount })
  if (options.socket === undefined)
    throw bad('The log driver ndjson needs the option socket, the path of the collector.', 'socket')
  return { socket: options.socket, buffer: options.buffer ?? 10_000 }
}
