import { parseReference } from './reference.ts'

/** Full repositories by the short names that stand for them: `debian` is `registry.example/mirror/debian`. */
export type ShortNames = Readonly<Record<string, string>>

/** `name[:tag][@digest]` with the name that stands for another one replaced; null when it stands for itself. */
export function expandShortName(text: string, names: ShortNames): string | null {
  const [, name = '', rest = ''] = /^([^:@]+)((?::[^:@/]+)?(?:@.+)?)$/.exec(text) ?? []
  return Object.hasOwn(names, name) ? `${names[name]}${rest}` : null
}

/** What is wrong with an entry; null: nothing. */
export function shortNameProblem(short: string, full: string): string | null {
  try {
    const name = parseReference(short)
    if (name.domain !== 'docker.io' || name.tag !== null || name.digest !== null || short.startsWith('docker.io/'))
      return 'a short name has neither registry nor tag nor digest'
    const target = parseReference(full)
    if (target.tag !== null || target.digest !== null) return 'what it stands for has neither tag nor digest'
    return full.includes('/') && /^(localhost$|[^/]*[.:])/.test(full.split('/', 1)[0]!)
      ? null
      : 'what it stands for begins with a registry'
  } catch (error) {
    return (error as Error).message
  }
}
