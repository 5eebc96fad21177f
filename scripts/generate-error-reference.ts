import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collectErrorFamilies, placeErrorReference, renderErrorReference } from './error-reference.ts'

// Run by `npm run errors`; src/errors/error-reference.test.ts fails when the page lags behind the code.
const repository = join(import.meta.dirname, '..')
const page = join(repository, 'api-docs/guides/errors.md')
const families = await collectErrorFamilies(repository)
writeFileSync(page, placeErrorReference(readFileSync(page, 'utf8'), renderErrorReference(families)))
console.log(`${families.length} families, ${families.reduce((sum, f) => sum + Object.keys(f.codes).length, 0)} codes`)
