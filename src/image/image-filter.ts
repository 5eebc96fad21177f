import { parseOptionObject } from '../driver-kit/options.ts'
import { callErrors } from '../errors/call-errors.ts'
import { familiarName, parseReference } from '../reference/reference.ts'
import type { ListedImage } from './image-queries.ts'
import { isTagged } from './image-record.ts'
import { namePattern } from './name-pattern.ts'

/** Labels that must be there: keys with their values, `undefined` for any; or Docker's `key` and `key=value`. */
export type LabelFilter = string | readonly string[] | Readonly<Record<string, string | undefined>>

/** Which images to list; conditions of several fields must all hold. */
export interface ImageFilter {
  /** Only images without (true) or with (false) a tag. What other images were made from is not dangling. */
  readonly dangling?: boolean | undefined
  /** Part of a name in its shortest form. */
  readonly name?: string | undefined
  /**
   * Pattern of `repository[:tag]` in its shortest form, or several, of which one must fit: `busybox`, `*:1.*`,
   * `example.com/*\/app`. `*`, `?` and `[a-z]` do not go beyond a `/`.
   */
  readonly reference?: string | readonly string[] | undefined
  readonly labels?: LabelFilter | undefined
  /** Built before this image was: name, id or handle. */
  readonly before?: string | { readonly id: string } | undefined
  /** Built after this image was. */
  readonly since?: string | { readonly id: string } | undefined
  /** Built before this time. Images that do not say when pass for as old as can be. */
  readonly until?: Date | undefined
}

/** What a configuration says that filters ask for. */
export interface BuiltFacts {
  /** When it was built, milliseconds since 1970; 0 when it does not say. */
  readonly builtAt: number
  readonly labels: Readonly<Record<string, string>>
}

/** A checked filter. */
export interface ParsedImageFilter {
  /** What the records alone can tell. */
  fits(image: ListedImage): boolean
  /** Null when the configurations need not be read. */
  readonly built: ((facts: BuiltFacts) => boolean) | null
}

/**
 * Checks a filter; `builtAt` finds out when another image was built.
 *
 * @throws `call.unknown_option`, `call.bad_option`, `image.bad_pattern`, what `builtAt` throws
 */
export async function parseImageFilter(
  subject: string,
  filter: unknown,
  builtAt: (image: string) => Promise<number>,
): Promise<ParsedImageFilter> {
  const wanted = parseOptionObject(subject, filter, {
    dangling: flag,
    name: text,
    reference: (value, key) => (Array.isArray(value) ? value : [value]).map((each) => namePattern(text(each, key))),
    labels: parseLabels,
    before: imageText,
    since: imageText,
    until: time,
  })
  const { dangling, name, reference, labels } = wanted
  const before = Math.min(
    wanted.before === undefined ? Number.POSITIVE_INFINITY : await builtAt(wanted.before),
    wanted.until?.getTime() ?? Number.POSITIVE_INFINITY,
  )
  const since = wanted.since === undefined ? Number.NEGATIVE_INFINITY : await builtAt(wanted.since)
  const asksTime = before !== Number.POSITIVE_INFINITY || since !== Number.NEGATIVE_INFINITY
  return {
    fits: (image) =>
      (dangling === undefined || (dangling ? image.dangling : image.names.some(isTagged))) &&
      (name === undefined || image.names.some((own) => familiarName(parseReference(own)).includes(name))) &&
      (reference === undefined || image.names.some((own) => reference.some((pattern) => pattern(own)))),
    built:
      labels === undefined && !asksTime
        ? null
        : (facts) =>
            facts.builtAt < before &&
            facts.builtAt > since &&
            (labels ?? []).every(
              ([key, value]) =>
                Object.hasOwn(facts.labels, key) && (value === undefined || facts.labels[key] === value),
            ),
  }
}

/** @throws `call.bad_option` */
export function parseLabels(value: unknown, key: string): readonly (readonly [string, string | undefined])[] {
  if (typeof value === 'string' || Array.isArray(value))
    return (Array.isArray(value) ? value : [value]).map((label) => {
      const pair = text(label, key)
      const at = pair.indexOf('=')
      return at < 0 ? [pair, undefined] : [pair.slice(0, at), pair.slice(at + 1)]
    })
  if (typeof value !== 'object' || value === null || Object.values(value).some((each) => !isLabelValue(each)))
    throw bad(key, value, 'labels: an object of texts, or `key` and `key=value`')
  return Object.entries(value as Record<string, string | undefined>)
}

const isLabelValue = (value: unknown): boolean => value === undefined || typeof value === 'string'

/** @throws `call.bad_option` */
export function flag(value: unknown, key: string): boolean {
  if (typeof value === 'boolean') return value
  throw bad(key, value, 'true or false')
}

/** @throws `call.bad_option` */
export function time(value: unknown, key: string): Date {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value
  throw bad(key, value, 'a Date')
}

function text(value: unknown, key: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw bad(key, value, 'a text that is not empty')
}

/** A name, an id or a handle. @throws `call.bad_option` */
export function imageText(value: unknown, key: string): string {
  if (typeof value === 'object' && value !== null && 'id' in value) return text(value.id, key)
  return text(value, key)
}

const bad = (key: string, value: unknown, wanted: string) =>
  callErrors.error('bad_option', {
    message: `The option "${key}" must be ${wanted}, not ${value instanceof Date ? 'an invalid Date' : (JSON.stringify(value) ?? typeof value)}.`,
    subject: { type: 'option', id: key },
    details: { key },
  })
