import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BundleFixture, openBundleFixture } from '../../testing/system/bundle-fixture.ts'
import { runFilter } from '../../testing/system/filter-interpreter.ts'
import { defaultCapabilities } from '../process-defaults.ts'
import { compileFilter } from './compile-filter.ts'
import { defaultProfile } from './default-profile.ts'
import { defaultSeccomp } from './default-seccomp.ts'
import { type ProfileRule, selectRules } from './profile-rule.ts'
import { newestSyscall, syscallNumbers, x32Bit } from './syscall-numbers.ts'

const subject = { architecture: 'amd64', kernelRelease: '6.18.0', capabilities: defaultCapabilities }

/** The filter that libseccomp, which crun and runc use, makes of the same rules. */
function compileWithLibrary(rules: readonly ProfileRule[]): Uint8Array {
  const library = koffi.load('libseccomp.so.2')
  const Condition = koffi.struct({ arg: 'uint', op: 'int', a: 'uint64', b: 'uint64' })
  const init = library.func('void *seccomp_init(uint32_t action)')
  const addArchitecture = library.func('int seccomp_arch_add(void *context, uint32_t arch)')
  const resolve = library.func('int seccomp_syscall_resolve_name(const char *name)')
  const add = library.func('seccomp_rule_add_array', 'int', [
    'void *',
    'uint32',
    'int',
    'uint',
    koffi.pointer(Condition),
  ])
  const write = library.func('int seccomp_export_bpf(void *context, int fd)')
  const operators = { ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, masked_eq: 7 }
  const context = init(0x50001)
  for (const arch of [0x40000003, 0x4000003e]) expect(addArchitecture(context, arch)).toBe(0)
  for (const { names, action, args = [] } of rules)
    for (const name of names) {
      const number = resolve(name)
      if (number === -1) continue
      const conditions = args.map(({ index, op, value, mask }) => ({
        arg: index,
        op: operators[op],
        a: mask ?? value,
        b: op === 'masked_eq' ? value : 0,
      }))
      const verdict = action === 'allow' ? 0x7fff0000 : 0x50000 | action.errno
      expect(add(context, verdict, number, conditions.length, conditions), name).toBe(0)
    }
  const file = join(tmpdir(), `tscontainer-libseccomp-${process.pid}`)
  const fd = openSync(file, 'w')
  expect(write(context, fd)).toBe(0)
  closeSync(fd)
  const bytes = readFileSync(file)
  rmSync(file)
  return bytes
}

test('decides as libseccomp does', () => {
  const rules = selectRules(defaultProfile, subject)
  const ours = compileFilter(rules, 'amd64')
  const theirs = compileWithLibrary(rules)
  const values = [
    0n,
    1n,
    8n,
    37n,
    38n,
    39n,
    40n,
    41n,
    0x20000n,
    0x20008n,
    0xffffffffn,
    0x10000000n,
    0x7e020000n,
    0x1200011n,
  ]
  const differences: string[] = []
  // The library here knows no calls younger than Linux 5.17, and has its own ways with socketcall(2) and ipc(2).
  const newestThere = 450
  for (const [table, architecture, base] of [
    ['amd64', 0xc000003e, 0],
    ['x32', 0xc000003e, x32Bit],
    ['x86', 0x40000003, 0],
  ] as const) {
    const names = new Map([...syscallNumbers(table)].map(([name, number]) => [number, name]))
    for (let number = base; number <= base + newestSyscall; number++) {
      const name = names.get(number)
      if (number - base > newestThere || name === 'uretprobe' || name === 'map_shadow_stack') continue
      for (const value of values) {
        const call = { architecture, number, args: [value, 0n, 0n, 0n, 0n, 0n] }
        const [a, b] = [runFilter(ours, call), runFilter(theirs, call)]
        if (a !== b)
          differences.push(`${table} ${name ?? ''} ${number} ${value}: ${a.toString(16)} not ${b.toString(16)}`)
      }
    }
  }
  expect(differences).toEqual([])
  expect(ours.length).toBeLessThan(theirs.length)
})

describe.each(['crun', 'runc'])('in a container of %s', (binary) => {
  let fixture: BundleFixture
  beforeAll(async () => {
    fixture = await openBundleFixture(binary)
  })
  afterAll(() => fixture?.[Symbol.asyncDispose]())

  const run = (script: string, capabilities = defaultCapabilities) =>
    fixture.run(['sh', '-c', script], {
      capabilities,
      seccomp: defaultSeccomp({ ...subject, capabilities, form: fixture.driver.seccompForm }),
    })

  test('the filter is on, and forbids what the profile forbids', async () => {
    expect((await run('grep -E "^Seccomp:" /proc/self/status')).stdout).toBe('Seccomp:\t2\n')
    const { stdout, stderr, exitCode } = await run(
      'unshare -U true; mount -t tmpfs x /tmp; chroot / true && mknod /tmp/n c 1 3 && ls /tmp | head -1 && exit 5',
    )
    expect(stderr).toMatch(/unshare: .*Operation not permitted/)
    expect(stderr).toMatch(/mount: .*(permission denied|Operation not permitted)/i)
    expect({ stdout, exitCode }).toEqual({ stdout: 'n\n', exitCode: 5 })
  })

  test('a capability opens its calls', async () => {
    const { exitCode } = await run('mount -t tmpfs x /tmp && unshare -u true', [
      ...defaultCapabilities,
      'CAP_SYS_ADMIN',
    ])
    expect(exitCode).toBe(0)
  })
})
