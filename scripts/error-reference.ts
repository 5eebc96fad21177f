import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ErrorDefinition } from '../src/errors/family.ts'

/** A family as far as its page needs it. */
export interface DocumentedFamily {
  readonly name: string
  readonly codes: Readonly<Record<string, ErrorDefinition>>
}

const isFamily = (value: unknown): value is DocumentedFamily =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  'codes' in value &&
  'error' in value &&
  typeof value.error === 'function'

/** Where families are declared: src/errors for the engine, `driver-errors.ts` in a driver's own folder. */
const homes = ['src/errors/*-errors.ts', 'drivers/*/*/driver-errors.ts']

/** Imports every module that declares errors and gives back its families, by name. */
export async function collectErrorFamilies(repository: string): Promise<readonly DocumentedFamily[]> {
  const families = new Map<string, DocumentedFamily>()
  for (const file of globSync(homes, { cwd: repository }).sort()) {
    const module: Record<string, unknown> = await import(pathToFileURL(join(repository, file)).href)
    const found = Object.values(module).filter(isFamily)
    if (found.length === 0) throw new Error(`${file} exports no error family`)
    for (const family of found) {
      const known = families.get(family.name)
      if (known && known !== family) throw new Error(`two error families are named ${family.name}; one is in ${file}`)
      families.set(family.name, family)
    }
  }
  return [...families.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** The reference as Markdown: one section per family, one row per code. */
export function renderErrorReference(families: readonly DocumentedFamily[]): string {
  return families
    .map((family) =>
      [
        `### ${family.name}`,
        '',
        '| code | kind | meaning and what to do |',
        '|---|---|---|',
        ...Object.entries(family.codes).map(
          ([reason, { kind, help }]) => `| \`${family.name}.${reason}\` | \`${kind}\` | ${cell(help)} |`,
        ),
      ].join('\n'),
    )
    .join('\n\n')
}

const begin = '<!-- begin of the generated reference: npm run errors -->'
const end = '<!-- end of the generated reference -->'

/** Puts the reference between the page's two marks. */
export function placeErrorReference(page: string, reference: string): string {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) throw new Error('the page lacks the marks of the generated reference')
  return `${page.slice(0, from + begin.length)}\n\n${reference}\n\n${page.slice(to)}`
}
