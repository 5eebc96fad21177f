import { describe, expect, test } from 'vitest'
import { type ReadCgroupFile, usageV1, usageV2 } from './usage.ts'

const from =
  (files: Readonly<Record<string, string>>): ReadCgroupFile =>
  (_controller, file) =>
    files[file] ?? null

const cpu = {
  totalMicros: 1500,
  userMicros: 1000,
  systemMicros: 500,
  periods: 7,
  throttledPeriods: 3,
  throttledMicros: 90,
}

describe('cgroup v2', () => {
  const files = {
    'cpu.stat':
      'usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 7\nnr_throttled 3\nthrottled_usec 90\nnr_bursts 0\n',
    'memory.current': '8192\n',
    'memory.stat': 'anon 4096\nfile 4096\ninactive_anon 1\ninactive_file 2048\n',
    'memory.swap.current': '12\n',
    'memory.peak': '16384\n',
    'memory.max': '1048576\n',
    'io.stat':
      '8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=9 dios=1\n259:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n',
    'pids.current': '5\n',
    'pids.max': '100\n',
  }

  test('all there is', () => {
    expect(usageV2(from(files))).toEqual({
      cpu,
      memory: {
        usedBytes: 8192,
        inactiveFileBytes: 2048,
        swapBytes: 12,
        peakBytes: 16384,
        limitBytes: 1048576,
      },
      io: { readBytes: 101, writtenBytes: 22, reads: 4, writes: 5 },
      pids: { current: 5, limit: 100 },
    })
  })

  test('no limits, an older kernel without peaks, nothing read or written yet', () => {
    const { 'memory.peak': _, ...older } = files
    const usage = usageV2(from({ ...older, 'memory.max': 'max\n', 'pids.max': 'max\n', 'io.stat': '' }))
    expect(usage.memory).toMatchObject({ limitBytes: null, peakBytes: null })
    expect(usage.pids).toEqual({ current: 5, limit: null })
    expect(usage.io).toEqual({ readBytes: 0, writtenBytes: 0, reads: 0, writes: 0 })
  })

  test('controllers that are not there', () => {
    expect(usageV2(from({ 'cpu.stat': files['cpu.stat'] }))).toMatchObject({ memory: null, io: null, pids: null })
  })
})

describe('cgroup v1', () => {
  const files = {
    'cpuacct.usage': '1500999\n',
    'cpuacct.usage_user': '1000000\n',
    'cpuacct.usage_sys': '500999\n',
    'cpu.stat': 'nr_periods 7\nnr_throttled 3\nthrottled_time 90000\n',
    'memory.usage_in_bytes': '8192\n',
    'memory.max_usage_in_bytes': '16384\n',
    'memory.limit_in_bytes': '9223372036854771712\n',
    'memory.stat': 'inactive_file 1\nswap 1\ntotal_inactive_file 2048\ntotal_swap 12\n',
    'blkio.throttle.io_service_bytes_recursive':
      '8:0 Read 100\n8:0 Write 20\n8:0 Sync 0\n8:0 Discard 9\n8:0 Total 129\n259:0 Read 1\n259:0 Write 2\nTotal 132\n',
    'blkio.throttle.io_serviced_recursive': '8:0 Read 3\n8:0 Write 4\n259:0 Read 1\n259:0 Write 1\nTotal 9\n',
    'pids.current': '5\n',
    'pids.max': 'max\n',
  }

  test('the same facts from other files', () => {
    expect(usageV1(from(files))).toEqual({
      cpu,
      memory: { usedBytes: 8192, inactiveFileBytes: 2048, swapBytes: 12, peakBytes: 16384, limitBytes: null },
      io: { readBytes: 101, writtenBytes: 22, reads: 4, writes: 5 },
      pids: { current: 5, limit: null },
    })
  })

  test('a limit; controllers that are not there', () => {
    expect(usageV1(from({ ...files, 'memory.limit_in_bytes': '1048576\n' })).memory?.limitBytes).toBe(1048576)
    expect(usageV1(from({ 'pids.current': '1\n' }))).toEqual({
      cpu: null,
      memory: null,
      io: null,
      pids: { current: 1, limit: null },
    })
  })
})
