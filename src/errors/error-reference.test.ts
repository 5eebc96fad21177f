import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { collectErrorFamilies, placeErrorReference, renderErrorReference } from '../../scripts/error-reference.ts'
import { errorKinds } from './kinds.ts'

const repository = join(import.meta.dirname, '../..')
const page = readFileSync(join(repository, 'api-docs/guides/errors.md'), 'utf8')
const families = await collectErrorFamilies(repository)

describe('error reference', () => {
  test('has a row for every code (npm run errors brings it up to date)', () => {
    expect(page).toBe(placeErrorReference(page, renderErrorReference(families)))
  })

  test('explains every kind', () => {
    expect(errorKinds.filter((kind) => !page.includes(`| \`${kind}\` |`))).toEqual([])
  })

  test('every help is a sentence that says something', () => {
    const poor = families.flatMap((family) =>
      Object.entries(family.codes)
        .filter(([reason, { help }]) => help.length < 20 || !/[.!?`]$/.test(help) || !/^[a-z0-9_]+$/.test(reason))
        .map(([reason]) => `${family.name}.${reason}`),
    )
    expect(poor).toEqual([])
  })

  test('families are declared in their homes only', () => {
    const strays = globSync(['src/**/*.ts', 'drivers/**/*.ts'], { cwd: repository }).filter(
      (file) =>
        !/\.test\.ts$|-errors\.ts$|src\/errors\/family\.ts$|src\/testing\//.test(file) &&
        /\bdefineErrors\(/.test(readFileSync(join(repository, file), 'utf8')),
    )
    expect(strays).toEqual([])
  })
})
