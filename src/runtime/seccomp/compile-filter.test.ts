import { describe, expect, test } from 'vitest'
import { runFilter } from '../../testing/system/filter-interpreter.ts'
import { defaultCapabilities } from '../process-defaults.ts'
import { compileFilter } from './compile-filter.ts'
import { defaultProfile } from './default-profile.ts'
import { defaultSeccomp } from './default-seccomp.ts'
import { type ArgCondition, type ProfileRule, selectRules } from './profile-rule.ts'
import { newestSyscall, type SyscallArchitecture, syscallNumbers, x32Bit } from './syscall-numbers.ts'

const audit = { amd64: 0xc000003e, x86: 0x40000003, x32: 0xc000003e, arm64: 0xc00000b7, arm: 0x40000028 } as const
const allow = 0x7fff0000
const errno = (number: number) => 0x50000 | number
const machines = { amd64: ['amd64', 'x32', 'x86'], arm64: ['arm64', 'arm'] } as const

const subject = (architecture: string, capabilities = defaultCapabilities) => ({
  architecture,
  kernelRelease: '6.18.44-x',
  capabilities,
})

const interesting = [0n, 1n, 2n, 8n, 16n, 17n, 37n, 38n, 39n, 40n, 41n, 44n, 0x20000n, 0x20008n, 0x20001n, 0xffffffffn]
const flags = [0x00020000n, 0x10000000n, 0x7e020000n, 0x3d0f00n, 0x1200011n, 0x80000000n]
const high = [0x1_0000_0000n, 0x1_0000_0026n, 0xffff_ffff_0000_0008n, 0xffff_ffff_ffff_ffffn]
const values = [...interesting, ...flags, ...high]

function holds({ index, op, value, mask, bits }: ArgCondition, args: readonly bigint[]): boolean {
  const arg = BigInt.asUintN(bits ?? 64, args[index] ?? 0n)
  const other = BigInt(value)
  const verdicts = {
    eq: arg === other,
    ne: arg !== other,
    lt: arg < other,
    le: arg <= other,
    gt: arg > other,
    ge: arg >= other,
    masked_eq: (arg & BigInt(mask ?? 0)) === other,
  }
  return verdicts[op]
}

/** What the rules say, without any compiling. */
function expected(rules: readonly ProfileRule[], name: string | undefined, number: number, args: readonly bigint[]) {
  const own = rules.filter((rule) => name !== undefined && rule.names.includes(name))
  const match = own.find((rule) => !rule.args) ?? own.find((rule) => rule.args?.every((arg) => holds(arg, args)))
  if (match) return match.action === 'allow' ? allow : errno(match.action.errno)
  return own.length === 0 && (number & ~x32Bit) > newestSyscall ? errno(38) : errno(1)
}

describe('compiled filters', () => {
  for (const [machine, tables] of Object.entries(machines))
    for (const capabilities of [defaultCapabilities, [], ['CAP_SYS_ADMIN', 'CAP_SYS_PTRACE', 'CAP_BPF']])
      test(`decide as the rules for every call of ${machine} with ${capabilities.length} capabilities`, () => {
        const rules = selectRules(defaultProfile, subject(machine, capabilities))
        const filter = compileFilter(rules, machine)
        const wrong: string[] = []
        for (const table of tables) {
          const numbers = syscallNumbers(table as SyscallArchitecture)
          const names = new Map([...numbers].map(([name, number]) => [number, name]))
          const base = table === 'x32' ? x32Bit : 0
          const all = new Set([
            ...Array.from({ length: 620 }, (_, i) => base + i),
            ...numbers.values(),
            base + 0x3fffffff,
          ])
          for (const number of all) {
            const name = names.get(number)
            const filtered = name === 'clone' || name === 'socket' || name === 'personality'
            for (const value of filtered ? values : [0n, 0xffffffffn]) {
              const args = [value, 0n, 0n, 0n, 0n, 0n]
              const got = runFilter(filter, { architecture: audit[table as SyscallArchitecture], number, args })
              const want = expected(rules, name, number, args)
              if (got !== want)
                wrong.push(`${table} ${name} ${number} ${value}: ${got.toString(16)} not ${want.toString(16)}`)
            }
          }
        }
        expect(wrong).toEqual([])
      })

  test('calls of another machine end the process', () => {
    const filter = compileFilter(selectRules(defaultProfile, subject('amd64')), 'amd64')
    for (const architecture of [audit.arm64, audit.arm, 0, 0xffffffff])
      expect(runFilter(filter, { architecture, number: 0, args: [] })).toBe(0x80000000)
  })

  test('all operators, in both halves', () => {
    for (const value of [0, 7, 0xffffffff, 0x1_0000_0000, 0x1_0000_0007])
      for (const op of ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'masked_eq'] as const)
        for (const index of [0, 5])
          for (const bits of [undefined, 32] as const) {
            if (bits === 32 && value > 0xffffffff) continue
            const condition = { index, op, value, ...(op === 'masked_eq' && { mask: value }), ...(bits && { bits }) }
            const filter = compileFilter([{ names: ['read'], action: 'allow', args: [condition] }], 'amd64')
            for (const arg of [
              0n,
              6n,
              7n,
              8n,
              0xfffffffen,
              0xffffffffn,
              0x1_0000_0000n,
              0x1_0000_0006n,
              0x1_0000_0007n,
              0x1_0000_0008n,
              0x2_0000_0007n,
            ]) {
              const args = Array.from({ length: 6 }, (_, i) => (i === index ? arg : 0x55n))
              const got = runFilter(filter, { architecture: audit.amd64, number: 0, args })
              expect(got, `${op} ${value} ${arg} ${bits}`).toBe(holds(condition, args) ? allow : errno(1))
            }
          }
  })

  test('several conditions are joined by and, several rules by or', () => {
    const rule = (a: number, b: number, action: ProfileRule['action']): ProfileRule => ({
      names: ['read'],
      action,
      args: [
        { index: 0, op: 'eq', value: a },
        { index: 1, op: 'eq', value: b },
      ],
    })
    const filter = compileFilter([rule(1, 2, 'allow'), rule(3, 4, { errno: 5 })], 'amd64')
    const ask = (a: bigint, b: bigint) => runFilter(filter, { architecture: audit.amd64, number: 0, args: [a, b] })
    expect([ask(1n, 2n), ask(3n, 4n), ask(1n, 4n), ask(3n, 2n)]).toEqual([allow, errno(5), errno(1), errno(1)])
  })

  test('capabilities and kernels open and close calls', () => {
    const names = (capabilities: readonly string[], kernelRelease = '6.1') =>
      new Set(
        selectRules(defaultProfile, { ...subject('amd64'), capabilities, kernelRelease }).flatMap((rule) => rule.names),
      )
    expect(names([]).has('mount')).toBe(false)
    expect(names(['CAP_SYS_ADMIN']).has('mount')).toBe(true)
    expect(names([]).has('chroot')).toBe(false)
    expect(names([], '4.7.9').has('ptrace')).toBe(false)
    expect(names([], '4.8.0').has('ptrace')).toBe(true)
    expect(names([], '10.0').has('ptrace')).toBe(true)
  })

  test('the form that the runtime takes', () => {
    const compiled = defaultSeccomp({ ...subject('amd64'), form: 'crun-bpf' })
    expect(compiled.profile).toBeUndefined()
    expect(Buffer.from(compiled.annotations!['run.oci.seccomp_bpf_data']!, 'base64').length % 8).toBe(0)
    const profile = defaultSeccomp({ ...subject('amd64'), form: 'profile' })
    expect(profile.annotations).toBeUndefined()
    expect(profile.profile).toMatchObject({
      defaultAction: 'SCMP_ACT_ERRNO',
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    })
    expect(profile.profile!.syscalls).toContainEqual({
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    })
    // Nobody knows the numbers of that machine here: its runtime does.
    expect(defaultSeccomp({ ...subject('riscv64'), form: 'crun-bpf' }).profile?.architectures).toEqual([
      'SCMP_ARCH_RISCV64',
    ])
  })
})
