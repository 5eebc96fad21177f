import { layerErrors } from '../errors/layer-errors.ts'
import type { LayerLimits } from './layer-limits.ts'

/** A path below the layer's root: components as bytes (latin1 text, one character a byte), none of them `.` or `..`. */
export type EntryPath = readonly string[]

/** Cleans a name as a path below `/`: doubled slashes and `.` go, `..` takes back a component and stops at the root. */
export function cleanPath(name: Buffer, limits: LayerLimits): EntryPath {
  if (name.length > limits.pathBytes) throw tooLong(name, 'bytes', name.length, limits.pathBytes)
  if (name.includes(0)) throw badName(name, 'it holds a NUL byte')
  const clean: string[] = []
  for (const component of name.toString('latin1').split('/')) {
    if (component === '' || component === '.') continue
    if (component === '..') clean.pop()
    else clean.push(component)
  }
  if (clean.length > limits.pathDepth) throw tooLong(name, 'components', clean.length, limits.pathDepth)
  return clean
}

export const badName = (name: Buffer | string, why: string) =>
  layerErrors.error('bad_entry', { message: `The entry ${JSON.stringify(name.toString())} cannot be made: ${why}.` })

export const tooLong = (name: Buffer, what: string, value: number, limit: number) =>
  layerErrors.error('limit_exceeded', {
    message: `The path ${JSON.stringify(name.toString('utf8', 0, 80))}... has ${value} ${what}; the limit is ${limit}.`,
    details: { value, limit },
  })
