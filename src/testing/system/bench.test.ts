import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newSince, readHostTables } from '../index.ts'
import { mustRun, repository } from './packed-package.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tscontainer-bench-test-'))
  await mustRun(process.execPath, [join(repository, 'scripts/build-when-changed.ts')], repository)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

test('the bench measures and reports, and leaves the machine as it was', async () => {
  const parts = ['links', 'firewall', 'mounts', 'loopDevices'] as const
  const before = await readHostTables({ parts })
  const file = join(directory, 'report.json')
  const options = ['--only', 'run,first-line,exec', '--rounds', '1', '--disk', 'ext4', '--json', file]
  const table = await mustRun(process.execPath, [join(repository, 'bench/run.ts'), ...options], repository)
  expect(table).toMatch(/^\| run \/bin\/true and remove, no network/m)
  const report = JSON.parse(await readFile(file, 'utf8')) as {
    readonly machine: Readonly<Record<string, string>>
    readonly results: readonly { readonly row: string; readonly figures: Readonly<Record<string, number>> }[]
  }
  expect(report.machine['kernel']).toBeTruthy()
  expect(report.results).toHaveLength(5)
  for (const { row, figures } of report.results) {
    expect(figures['tscontainer'], row).toBeGreaterThan(0)
    expect(figures['bare'], row).toBeGreaterThan(0)
  }
  expect(newSince(before, await readHostTables({ parts }))).toEqual([])
})
