import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { endOf, failureOf, LauncherFixture, openDescriptors } from './launcher-fixture.ts'
import { readMountTable } from './mount-info.ts'
import type { MountSpec } from './mount-spec.ts'

let fixture: LauncherFixture

beforeEach(() => {
  fixture = new LauncherFixture()
})
afterEach(() => fixture[Symbol.asyncDispose]())

describe('roots', () => {
  test('are seen by their program only, and gone after it', async () => {
    const target = fixture.folder('target')
    const root = { target, mounts: [fixture.overlay([fixture.folder('lower', { file: 'below' })])] }
    const { output } = await fixture.shell(
      `cat ${target}/file; echo new > ${target}/other; grep -c ${target} /proc/self/mountinfo`,
      {
        root,
      },
    )
    expect(output).toBe('below1\n')
    expect(readdirSync(target)).toEqual([])
    expect(readFileSync(join(fixture.scratch, 'one/upper/other'), 'utf8')).toBe('new\n')
    expect(readMountTable().some((entry) => entry.target === target)).toBe(false)
    // A second program sees nothing of the first one's root.
    expect((await fixture.shell(`ls ${target} | wc -l`)).output.trim()).toBe('0')
    rmSync(join(fixture.scratch, 'one'), { recursive: true })
  })

  test('are undone when a later mount of the stack fails', async () => {
    const target = fixture.folder('target')
    const tmpfs: MountSpec = { type: 'tmpfs', source: 'tmpfs', options: ['size=1m'] }
    const error = await failureOf(
      fixture.launcher.mount({ target, mounts: [tmpfs, { type: 'no-such-type', source: 'x', options: [] }] }),
    )
    expect(error.kind).toBe('unsupported')
    await using lease = await fixture.launcher.mount({ target, mounts: [tmpfs] })
    expect(readdirSync(lease.path)).toEqual([])
    const perThread = readdirSync('/proc/self/task').map(
      (thread) => readFileSync(`/proc/self/task/${thread}/mountinfo`, 'utf8').split(` ${target} `).length - 1,
    )
    expect(Math.max(...perThread)).toBe(1)
  })

  test('binds, read-only and other flags', async () => {
    const target = fixture.folder('target')
    const source = fixture.folder('source', { file: 'x' })
    const root = { target, mounts: [{ type: 'bind', source, options: ['rbind', 'ro', 'nosuid', 'nodev'] }] }
    const { output } = await fixture.shell(
      `cat ${target}/file; touch ${target}/y; grep ' ${target} ' /proc/self/mountinfo`,
      {
        root,
      },
    )
    expect(output).toMatch(/^x.*Read-only file system\n.* ro,nosuid,nodev/s)
    const bad = { target, mounts: [{ type: 'bind', source, options: ['rbind', 'size=3'] }] }
    expect((await failureOf(fixture.launcher.mount(bad))).kind).toBe('invalid_argument')
  })

  test('overlays of 200 layers with long and awkward names', async () => {
    const awkward = 'a,b:c\\d e'
    const lower = Array.from({ length: 200 }, (_, n) =>
      fixture.folder(`${'l'.repeat(100)}/${awkward}${n}`, { [`f${n}`]: String(n) }),
    )
    const escaped = lower.map((path) => path.replace(/[\\,:]/g, '\\$&'))
    const target = fixture.folder('target')
    await using lease = await fixture.launcher.mount({ target, mounts: [fixture.overlay(escaped)] })
    expect(readdirSync(lease.path).length).toBe(200)
    expect(readFileSync(join(lease.path, 'f199'), 'utf8')).toBe('199')
    // The thread's working directory is back at the root.
    expect((await fixture.shell('pwd')).output).toBe('/\n')
  })

  test('later mounts of the host are seen, and their end too', async () => {
    const target = fixture.folder('late')
    await fixture.shell('true')
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', target])
    try {
      const shared = readMountTable()
        .find((entry) => entry.target === '/')!
        .propagation.some((p) => p.startsWith('shared'))
      expect((await fixture.shell(`grep -c ' ${target} ' /proc/self/mountinfo`)).output.trim()).toBe(shared ? '1' : '0')
    } finally {
      execFileSync('umount', [target])
    }
    expect((await fixture.shell(`grep -c ' ${target} ' /proc/self/mountinfo`)).output.trim()).toBe('0')
  })
})

describe('leases', () => {
  test('give a path that works here and elsewhere, until disposal', async () => {
    const target = fixture.folder('target')
    const lease = await fixture.launcher.mount({
      target,
      mounts: [fixture.overlay([fixture.folder('lower', { file: 'below' })])],
    })
    expect(readFileSync(join(lease.path, 'file'), 'utf8')).toBe('below')
    expect(execFileSync('cat', [join(lease.path, 'file')]).toString()).toBe('below')
    // Programs started meanwhile do not hold it.
    const sleeper = await fixture.launcher.launch({ file: 'sleep', args: ['1000'], env: {}, stdio: [], session: 'own' })
    expect(readFileSync(`/proc/${sleeper.pid}/mountinfo`, 'utf8')).not.toContain(target)
    // A file that is still open does not stop the disposal.
    const fd = openSync(join(lease.path, 'file'), 'r')
    await lease[Symbol.asyncDispose]()
    await lease[Symbol.asyncDispose]()
    closeSync(fd)
    expect(existsSync(join(lease.path, 'file'))).toBe(false)
    process.kill(sleeper.pid, 'SIGKILL')
    expect((await endOf(sleeper)).signal).toBe('SIGKILL')
  })

  test('hold while programs are started', async () => {
    const target = fixture.folder('target')
    await using lease = await fixture.launcher.mount({
      target,
      mounts: [fixture.overlay([fixture.folder('lower', { file: 'below' })])],
    })
    let starting = true
    const starts = Promise.all(
      Array.from({ length: 100 }, async () => {
        const program = await fixture.launcher.launch({
          file: '/bin/true',
          args: [],
          env: {},
          stdio: [],
          session: 'own',
        })
        program.ref()
        await program.exited
      }),
    ).finally(() => {
      starting = false
    })
    let looks = 0
    for (; starting; looks++) {
      for (let n = 0; n < 50; n++) expect(readFileSync(join(lease.path, 'file'), 'utf8')).toBe('below')
      await new Promise((resolve) => setImmediate(resolve))
    }
    await starts
    expect(looks).toBeGreaterThan(3)
  })

  test('one at a time on a directory', async () => {
    const target = fixture.folder('target')
    const root = { target, mounts: [{ type: 'bind', source: fixture.folder('a', { a: '' }), options: ['bind'] }] }
    const lease = await fixture.launcher.mount(root)
    expect((await failureOf(fixture.launcher.mount(root))).code).toBe('host.busy')
    expect(readdirSync(lease.path)).toEqual(['a'])
    await lease[Symbol.asyncDispose]()
    await using again = await fixture.launcher.mount(root)
    expect(readdirSync(again.path)).toEqual(['a'])
  })
})

describe('network namespaces', () => {
  test('live as long as their descriptor', async () => {
    const netns = await fixture.launcher.createNetns({
      links: [],
      sysctls: { 'ipv4/ip_unprivileged_port_start': '80' },
    })
    const inside = (...command: string[]) => execFileSync('nsenter', [`--net=${netns.path}`, ...command]).toString()
    expect(statSync(netns.path).ino).toBe(netns.inode)
    expect(inside('readlink', '/proc/self/ns/net').trim()).toBe(`net:[${netns.inode}]`)
    expect(inside('ip', '-o', 'link')).toMatch(/^1: lo: <LOOPBACK,UP,LOWER_UP>[^\n]*\n$/)
    expect(inside('cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start').trim()).toBe('80')
    expect(statSync('/proc/self/ns/net').ino).not.toBe(netns.inode)
    expect((await fixture.shell('readlink /proc/self/ns/net')).output).not.toContain(String(netns.inode))
    await netns[Symbol.asyncDispose]()
    await netns[Symbol.asyncDispose]()
    expect(existsSync(netns.path)).toBe(false)
  })

  test('an abort closes what was made', async () => {
    await fixture.shell('true')
    const before = openDescriptors()
    const controller = new AbortController()
    const call = fixture.launcher.createNetns({ links: [] }, { signal: controller.signal })
    controller.abort()
    expect((await failureOf(call)).kind).toBe('aborted')
    expect(openDescriptors()).toBe(before)
  })
})
