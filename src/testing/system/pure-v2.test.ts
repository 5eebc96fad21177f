import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { mustRun, repository } from './packed-package.ts'
import type { PureV2Report } from './pure-v2-guest.ts'

describe('a host with cgroup v2 only', () => {
  let report: PureV2Report

  beforeAll(async () => {
    const guest = [process.execPath, '--conditions=tscontainer-source', join(import.meta.dirname, 'pure-v2-guest.ts')]
    const options = ['--cgroup', 'v2', '--timeout', '240', '--']
    const output = await mustRun(join(repository, 'src/testing/vm/uml-run'), [...options, ...guest], repository)
    report = JSON.parse(output.slice(output.indexOf('{'))) as PureV2Report
  })

  test('is one', () => expect(report.hierarchy).toBe('cgroup2fs'))

  test('runs a container to its exit code', () => expect(report.exitCode).toBe(7))

  test('sets memory, pids and cpu limits', () =>
    expect(report.limits).toEqual({ memory: '67108864', pids: '32', cpu: '50000 100000' }))

  test('reports an out-of-memory kill', () => expect(report.oom).toEqual({ exitCode: 137, oomKilled: true }))

  test('execs', () => expect(report.exec).toEqual({ exitCode: 3, stdout: 'inside\n' }))

  test('pauses and resumes', () => expect(report.pause).toEqual({ movedWhilePaused: false, movedAfter: true }))

  test('leaves no cgroup and no mount', () => expect(report.left).toEqual([]))
})
