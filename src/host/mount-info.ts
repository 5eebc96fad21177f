import { readFileSync } from 'node:fs'
import type { MountEntry, MountTable } from './mount-table.ts'

/**
 * Undoes the octal escapes (space, tab, newline, backslash, and # of the first field) byte by byte. Bytes that are no
 * UTF-8 come back as U+FFFD; `parseMountInfo` takes latin1 text when the caller needs them exactly.
 */
function withoutEscapes(field: string): string {
  return field.includes('\\')
    ? field.replace(/\\([0-3][0-7]{2})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
    : field
}

/** Parses the text of a mountinfo file. Source: proc_pid_mountinfo(5). */
export function parseMountInfo(text: string): MountTable {
  const entries: MountEntry[] = []
  for (const line of text.split('\n')) {
    const fields = line.split(' ')
    const separator = fields.indexOf('-', 6)
    if (separator < 0) continue
    entries.push({
      id: Number(fields[0]),
      parent: Number(fields[1]),
      device: fields[2]!,
      root: withoutEscapes(fields[3]!),
      target: withoutEscapes(fields[4]!),
      options: fields[5]!.split(','),
      propagation: fields.slice(6, separator),
      type: withoutEscapes(fields[separator + 1]!),
      source: withoutEscapes(fields[separator + 2] ?? ''),
      superOptions: (fields[separator + 3] ?? '').split(',').map(withoutEscapes),
    })
  }
  return entries
}

/**
 * The mounts that a process or thread sees: `self` (the main thread), `thread-self`, or a pid.
 * `exact` decodes paths as latin1, one character per byte, so that names that are no UTF-8 survive
 * (`Buffer.from(target, 'latin1')` gives the bytes back).
 */
export function readMountTable(
  of: 'self' | 'thread-self' | number = 'self',
  options?: { exact?: boolean },
): MountTable {
  return parseMountInfo(readFileSync(`/proc/${of}/mountinfo`, options?.exact ? 'latin1' : 'utf8'))
}
