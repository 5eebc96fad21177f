import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { workerEntry } from './worker-entry.ts'

test('from sources the launcher is a TypeScript file that exists', () => {
  const url = workerEntry('launcher')
  expect(url.pathname).toMatch(/\/src\/host\/launcher-thread\.ts$/)
  expect(existsSync(fileURLToPath(url))).toBe(true)
})
