import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseCapabilities, readKernelFeatures } from './kernel-features.ts'
import { networkFileSystem } from './syscall/statfs.ts'

describe('kernel features', () => {
  test('this machine', () => {
    const features = readKernelFeatures()
    expect(features.release).toBe(readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim())
    expect(features.filesystems).toContain('proc')
    expect(['v1', 'hybrid', 'v2']).toContain(features.cgroup)
    expect(features.controllers.every((name) => /^[a-z_]+$/.test(name))).toBe(true)
    expect(readKernelFeatures()).toBe(features)
  })

  test('capability bits', () => {
    expect(parseCapabilities('0')).toEqual([])
    expect(parseCapabilities('0000000000200001')).toEqual(['CAP_CHOWN', 'CAP_SYS_ADMIN'])
    expect(parseCapabilities('000001ffffffffff').at(-1)).toBe('CAP_CHECKPOINT_RESTORE')
    expect(parseCapabilities('000001ffffffffff').length).toBe(41)
  })

  test('local file systems are not taken for network ones', () => {
    for (const path of ['/', '/proc', '/tmp']) expect(networkFileSystem(path)).toBe(null)
  })
})
