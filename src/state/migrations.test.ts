import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { chainIds } from '../oci/chain-id.ts'
import { digestOf } from '../oci/digest.ts'
import { Database } from './database.ts'
import { currentFormat, formatOf, migrate } from './migrations.ts'
import { version1 } from './schema/version-1.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-migrations-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('records of format 1 learn the chains of their images', () => {
  using db = new Database(join(directory, 'state.db'))
  db.exec(version1)
  db.exec('PRAGMA user_version=1')
  const diffs = [digestOf('one'), digestOf('two'), digestOf('three')]
  for (const manifest of ['sha256:three', 'sha256:none'])
    db.run("INSERT INTO images VALUES (?, 'sha256:id', 'type', 1, 5)", manifest)
  for (const [at, diff] of [null, ...diffs].entries())
    db.run("INSERT INTO image_blobs VALUES ('sha256:three', ?, ?, ?)", `sha256:blob-${at}`, diff, at)
  migrate(db, directory)
  expect(formatOf(db)).toBe(currentFormat)
  expect(db.all('SELECT manifest, chain, parent, created_at FROM images ORDER BY manifest')).toEqual([
    { manifest: 'sha256:none', chain: null, parent: null, created_at: 5 },
    { manifest: 'sha256:three', chain: chainIds(diffs).at(-1), parent: null, created_at: 5 },
  ])
})
