import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { createHost } from './host.ts'

test('the real machine as one object; disposal leaves no descriptor and no thread', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'host-'))
  const count = () => ({
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  })
  let before = count()
  for (const round of [1, 2]) {
    // Libraries and the pool's threads stay.
    if (round === 2) before = count()
    await using host = createHost({ diagnostics: (diagnostic) => expect.unreachable(diagnostic.message) })
    host.prepare()
    host.prepare()
    expect((await host.run('echo', ['x'])).stdout).toBe('x\n')
    expect(host.mountTable().length).toBeGreaterThan(0)
    expect(host.features().capabilities).toContain('CAP_SYS_ADMIN')
    expect((await host.links.find('lo'))?.index).toBe(1)
    await using lease = await host.launcher.mount({
      target: scratch,
      mounts: [{ type: 'tmpfs', source: 'tmpfs', options: [] }],
    })
    expect(readdirSync(lease.path)).toEqual([])
    host.xattrs.set(scratch, 'trusted.x', Buffer.from('y'))
    expect(host.xattrs.list(scratch)).toEqual(['trusted.x'])
  }
  // A thread is gone some moments after its end was told.
  await vi.waitFor(
    () => {
      expect(count().descriptors).toBe(before.descriptors)
      expect(count().threads).toBeLessThanOrEqual(before.threads)
    },
    { timeout: 5000 },
  )
  rmSync(scratch, { recursive: true })
})
