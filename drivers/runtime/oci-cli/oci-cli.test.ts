import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RuntimeSpec } from '../../../src/oci/runtime-spec.ts'
import { clearBundle, readNumberLine, readPid } from './bundle-files.ts'
import { cgroupOf, nestCgroup, outerCgroup } from './cgroup-path.ts'
import { refusedByKernel } from './executable-check.ts'
import { judgeVersion } from './minimum-versions.ts'
import { parseOptions } from './options.ts'
import { readRuntimeLog, startError } from './runtime-log.ts'
import { compareVersions, parseVersion } from './runtime-version.ts'
import { signalOfExitCode } from './signal-name.ts'

describe('options', () => {
  test('a program by name or path, nothing else', () => {
    expect(parseOptions({ binary: 'runc' })).toEqual({ binary: 'runc' })
    expect(parseOptions({ binary: '/opt/crun' })).toEqual({ binary: '/opt/crun' })
    expect(parseOptions(undefined)).toEqual({})
    for (const binary of ['', './crun', 'a/b', 5, null, 'a\0'])
      expect(() => parseOptions({ binary })).toThrow(expect.objectContaining({ code: 'call.bad_option' }))
    expect(() => parseOptions({ binray: 'crun' })).toThrow(expect.objectContaining({ code: 'call.unknown_option' }))
  })
})

describe('versions', () => {
  const crun =
    'crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\nrundir: /run/crun\nspec: 1.0.0\n+SYSTEMD +SECCOMP +EBPF\n'
  const runc = 'runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\nlibseccomp: 2.5.4\n'

  test('what programs say of themselves', () => {
    expect(parseVersion(crun)).toEqual({ flavor: 'crun', version: '1.8.1', revision: null, seccomp: true })
    expect(parseVersion(runc)).toEqual({
      flavor: 'runc',
      version: '1.1.5+ds1',
      revision: '1.1.5+ds1-1+deb12u1',
      seccomp: true,
    })
    expect(parseVersion('crun version 1.14\n-SECCOMP')).toMatchObject({ seccomp: false })
    expect(parseVersion('hello')).toBeNull()
  })

  test('order', () => {
    const sorted = ['1.0.0-rc10', '1.0.0~rc93', '1.0.0', '1.1', '1.1.5+ds1', '1.1.12', '1.10.0', '2']
    for (const [i, a] of sorted.entries())
      for (const [j, b] of sorted.entries()) expect(compareVersions(a, b), `${a} ${b}`).toBe(Math.sign(i - j))
  })

  const judge = (flavor: string, version: string, revision: string | null = null) =>
    judgeVersion({ flavor, version, revision, seccomp: true })

  test('known escapes are refused, security fixes of Debian count', () => {
    for (const version of ['1.0.0', '1.1.5', '1.1.11', '1.0.0-rc93'])
      expect(judge('runc', version).refusal, version).toContain('CVE-2024-21626')
    for (const version of ['1.1.12', '1.2.0', '1.3.3', '2.0.0'])
      expect(judge('runc', version).refusal, version).toBeNull()
    expect(judge('runc', '1.1.5+ds1', '1.1.5+ds1-1').refusal).toContain('CVE-2024-21626')
    expect(judge('runc', '1.1.5+ds1', '1.1.5+ds1-1+deb12u1').refusal).toBeNull()
    expect(judge('runc', '1.0.0~rc93', '1.0.0~rc93+ds1-5+deb11u3').refusal).toBeNull()
    expect(judge('runc', '1.0.0~rc93', '1.0.0~rc93+ds1-5+deb11u2').refusal).not.toBeNull()
    expect(judge('crun', '1.4.3').refusal).toContain('CVE-2022-27650')
    expect(judge('crun', '1.8.1')).toEqual({ refusal: null, warnings: [] })
    expect(judge('youki', '0.1').refusal).toBeNull()
  })

  test('younger faults are warned of, per line of versions', () => {
    const warned = (version: string) => judge('runc', version).warnings.length === 1
    expect(['1.1.12', '1.2.7', '1.3.2', '1.4.0-rc.2'].map(warned)).toEqual([true, true, true, true])
    expect(['1.2.8', '1.3.3', '1.4.0-rc.3', '1.4.0', '1.5.0'].map(warned)).toEqual([false, false, false, false, false])
  })
})

describe('errors of runtimes', () => {
  const code = (said: string) => startError('Starting', ['prog'], said, 1).code
  test.each([
    'executable file `/bin/x` not found in $PATH: No such file or directory',
    'executable file `x` not found: No such file or directory',
    'exec failed: unable to start container process: exec: "/bin/x": stat /bin/x: no such file or directory',
    'runc run failed: unable to start container process: exec: "x": executable file not found in $PATH',
    'runc run failed: unable to start container process: error during container init: exec: "/x": stat /x: no such file or directory: unknown',
  ])('not found: %s', (said) => expect(code(said)).toBe('runtime.command_not_found'))
  test.each([
    'open executable: Permission denied',
    'open executable: Operation not permitted',
    'runc run failed: unable to start container process: exec: "/etc": permission denied',
    'unable to start container process: exec: "/bin": is a directory',
    'exec: Exec format error',
    'exec /bin/junk: exec format error',
    'the path `/etc/passwd` exists but it is not executable',
  ])('not executable: %s', (said) => expect(code(said)).toBe('runtime.command_not_executable'))
  test.each([
    '',
    'cannot stat `/nowhere`: No such file or directory',
    'error mounting "/x" to rootfs at "/y": no such file or directory',
    'chdir to cwd ("/x") set in config.json failed: permission denied',
    'setrlimit `RLIMIT_NOFILE`: Operation not permitted',
  ])('anything else is a failed start: %s', (said) => expect(code(said)).toBe('runtime.start_failed'))
})

describe('exit codes', () => {
  test('128 + n names a signal', () => {
    expect([137, 143, 129, 162, 165, 192].map(signalOfExitCode)).toEqual([
      'SIGKILL',
      'SIGTERM',
      'SIGHUP',
      'SIGRTMIN',
      'SIGRTMIN+3',
      'SIGRTMIN+30',
    ])
    expect([0, 1, 128, 160, 161, 193, 255].map(signalOfExitCode)).toEqual(Array(7).fill(null))
  })
})

describe('cgroup paths', () => {
  const spec = (cgroupsPath: string, memory?: number): RuntimeSpec => ({
    ociVersion: '1.0.2',
    process: { user: { uid: 0, gid: 0 }, args: [], env: [], cwd: '/' },
    root: { path: '/' },
    mounts: [],
    linux: { namespaces: [], cgroupsPath, resources: memory ? { memory: { limit: memory } } : {} },
  })
  test('of both drivers', () => {
    expect(cgroupOf(spec('/a/b'))).toBe('/a/b')
    expect(cgroupOf(spec('tscontainer-x.slice:tscontainer:c'))).toBe(
      '/tscontainer.slice/tscontainer-x.slice/tscontainer-c.scope',
    )
    expect(cgroupOf(spec('system.slice:p:c'))).toBe('/system.slice/p-c.scope')
    expect(cgroupOf(spec(':p:c'))).toBe('/p-c.scope')
  })
  test('a memory limit on v2 gets a cgroup that counts beyond the end', () => {
    const nested = nestCgroup(spec('/a/b', 1), 'v2')
    expect(nested.nested && outerCgroup(cgroupOf(nested.spec)!)).toBe('/a/b')
    for (const [path, memory, mode] of [
      ['/a/b', 1, 'v1'],
      ['/a/b', 0, 'v2'],
      ['s.slice:p:c', 1, 'v2'],
    ] as const)
      expect(nestCgroup(spec(path, memory), mode).nested).toBe(false)
    expect(outerCgroup('/a/b')).toBe('/a/b')
  })
})

describe('files', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tscontainer-oci-unit-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  test('half-written ones count as missing', () => {
    const put = (text: string) => writeFileSync(join(directory, 'runtime.exit'), text)
    expect(readNumberLine(directory, 'runtime.exit')).toBeNull()
    for (const text of ['', '13', 'x\n', '1 2\n']) {
      put(text)
      expect(readNumberLine(directory, 'runtime.exit')).toBeNull()
    }
    put('137\n')
    expect(readNumberLine(directory, 'runtime.exit')).toBe(137)
    writeFileSync(join(directory, 'pid'), '')
    expect(readPid(join(directory, 'pid'))).toBeNull()
    clearBundle(directory)
    expect(readNumberLine(directory, 'runtime.exit')).toBeNull()
  })

  test('a log with half a line', () => {
    const log = join(directory, 'log')
    expect(readRuntimeLog(log)).toBe('')
    writeFileSync(log, '{"level":"warning","msg":"w"}\n{"level":"error","msg":"a"}\n{"level":"error","ms')
    expect(readRuntimeLog(log)).toBe('a\n{"level":"error","ms')
  })

  test('why the kernel refuses a program', () => {
    const root = join(directory, 'root')
    mkdirSync(join(root, 'bin'), { recursive: true })
    const put = (name: string, text: string | Buffer) => writeFileSync(join(root, 'bin', name), text)
    const why = (program: string, cwd = '/') => refusedByKernel(root, [program], ['PATH=/sbin:/bin'], cwd)
    put('text', 'echo hi\n')
    put('script', '#!/bin/text -x\n')
    put('orphan', '#! /bin/nowhere\n')
    put('empty', '')
    symlinkSync('/bin/text', join(root, 'bin/link'))
    symlinkSync('../../../../../../etc/passwd', join(root, 'bin/outside'))
    symlinkSync('loop', join(root, 'bin/loop'))
    expect(why('text')).toBe('exec format error')
    expect(why('empty')).toBe('exec format error')
    expect(why('./text', '/bin')).toBe('exec format error')
    expect(why('/bin/link')).toBe('exec format error')
    expect(why('script')).toBeNull()
    expect(why('orphan')).toContain('/bin/nowhere')
    for (const name of ['outside', 'loop', 'missing', '']) expect(why(name)).toBeNull()
    expect(refusedByKernel('', [process.execPath], [], '/')).toBeNull()
    const elf = Buffer.alloc(256)
    elf.write('\x7fELF\x02\x01', 'latin1')
    elf.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18)
    put('foreign', elf)
    expect(why('foreign')).toContain('another processor')
  })
})
