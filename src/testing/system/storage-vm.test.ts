import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { repository } from './packed-package.ts'
import type { StorageGuestReport } from './storage-guest.ts'

// Kernels of build machines often lack project quotas and a module parameter cannot be set for one test alone.
describe('storage in a machine with xfs and ext4 quotas', () => {
  let report: StorageGuestReport

  // One to three minutes: a program takes fifteen times as long to start there.
  beforeAll(async () => {
    const guest = [process.execPath, '--conditions=tscontainer-source', join(import.meta.dirname, 'storage-guest.ts')]
    const options = ['--modules', 'loop quota_v2', '--timeout', '570', '--']
    const machine = join(repository, 'src/testing/vm/uml-run')
    const { stdout } = await promisify(execFile)(machine, [...options, ...guest], { maxBuffer: 1 << 26 })
    report = JSON.parse(stdout.slice(stdout.indexOf('{"suites"'))) as StorageGuestReport
  }, 600_000)

  test.each(['overlay2 on xfs', 'vfs on xfs', 'overlay2 on ext4', 'vfs on ext4'])('%s: sizes are limited', (name) => {
    expect(report.suites[name]?.failed).toEqual([])
    expect(report.suites[name]?.passed).toContain('limits the size of a draft, or says that it cannot')
  })

  test('layers are whole where the kernel turns metacopy and redirect_dir on by default', () => {
    const found = report.suites['overlay2 with metacopy, redirect_dir and index on by default']
    expect(found?.failed).toEqual([])
    expect(found?.passed).toContain('carries everything that files have, and every kind of change')
  })

  test('a kill at any change of a quota leaves a project exactly for each draft', () => {
    expect(report.kills.map(({ drafts }) => drafts)).toEqual([0, 0, 1, 2, 3])
    for (const { claimed, limited, drafts } of report.kills) expect([claimed, limited]).toEqual([drafts, drafts])
  })

  test('two processes never take the same project', () =>
    expect(report.twoProcesses).toEqual({ drafts: 10, projects: 10 }))

  test.each([
    ['xfs', /no_quota \(0 left\).*mount option pquota.*rootflags=pquota/],
    ['ext4 without the features', /no_quota \(0 left\).*tune2fs -O project,quota/],
    ['ext4 without the option', /no_quota \(0 left\).*mount it with prjquota/],
    ['tmpfs', /no_quota \(0 left\).*put the data root on xfs/],
  ])('%s: says what is missing', (name, message) => expect(report.refusals[name]).toMatch(message))

  test('a container is stopped at its limit, others are not', () =>
    expect(report.engine).toEqual({ tooMuch: 1, fits: 0, unlimited: 0, left: 0 }))
})
