import { checkArguments } from './argument-checks.ts'
import { type BpfPiece, bpf, branch, encodeProgram, statement } from './bpf-program.ts'
import type { ProfileRule, RuleAction } from './profile-rule.ts'
import { newestSyscall, type SyscallArchitecture, syscallNumbers, x32Bit } from './syscall-numbers.ts'

/** One way to make system calls: its mark (linux/audit.h) and the tables of numbers that are told apart under it. */
interface CallConvention {
  readonly audit: number
  readonly tables: readonly SyscallArchitecture[]
}

/** What programs on a machine may use, its own way first; x32 shares the mark of amd64 and has a bit in its numbers. */
const conventions: Readonly<Record<string, readonly CallConvention[]>> = {
  amd64: [
    { audit: 0xc000_003e, tables: ['amd64', 'x32'] },
    { audit: 0x4000_0003, tables: ['x86'] },
  ],
  arm64: [
    { audit: 0xc000_00b7, tables: ['arm64'] },
    { audit: 0x4000_0028, tables: ['arm'] },
  ],
}

/** Machines that `compileFilter` knows the system calls of. */
export const compiledArchitectures: readonly string[] = Object.keys(conventions)

// Verdicts of linux/seccomp.h.
const allow = 0x7fff_0000
const killProcess = 0x8000_0000
const errno = (number: number) => 0x0005_0000 | number
const EPERM = 1
const ENOSYS = 38

const verdict = (action: RuleAction) => (action === 'allow' ? allow : errno(action.errno))
const done = (value: number): BpfPiece => [statement(bpf.return, value)]

/** From this number on, up to the next stretch. */
interface Stretch {
  readonly from: number
  readonly piece: BpfPiece
  /** The verdict where nothing else decides; such neighbours are joined. */
  readonly plain: number | null
}

/**
 * Compiles rules into a filter for seccomp(2). What no rule names fails with EPERM, as in Docker's profile; calls newer
 * than our tables fail with ENOSYS, so that C libraries try the older call, as runc arranges it. Foreign ways to make
 * calls end the process. Numbers are found by a balanced tree over stretches with one verdict.
 */
export function compileFilter(rules: readonly ProfileRule[], architecture: string): Uint8Array {
  const known = conventions[architecture]
  if (!known) throw new RangeError(`no system calls of ${architecture} are known`)
  const program = known.reduceRight<BpfPiece>(
    (others, { audit, tables }) =>
      branch(bpf.equal, audit, [statement(bpf.load, 0), ...tree(stretches(rules, tables))], others),
    done(killProcess),
  )
  return encodeProgram([statement(bpf.load, 4), ...program])
}

function stretches(rules: readonly ProfileRule[], tables: readonly SyscallArchitecture[]): readonly Stretch[] {
  const verdicts = new Map<number, Stretch>()
  const found = tables.flatMap((table) => {
    const numbers = syscallNumbers(table)
    return rules.flatMap((rule) => rule.names.flatMap((name) => ({ number: numbers.get(name), rule })))
  })
  const byNumber = Map.groupBy(found, ({ number }) => number)
  for (const [number, entries] of byNumber) {
    if (number === undefined) continue
    verdicts.set(
      number,
      stretchOf(
        number,
        entries.map(({ rule }) => rule),
      ),
    )
  }
  return joined(verdicts, tables)
}

/** A rule without conditions decides alone; else the first whose conditions hold, else EPERM. */
function stretchOf(from: number, rules: readonly ProfileRule[]): Stretch {
  const rule = rules.find(({ args }) => args === undefined || args.length === 0)
  if (rule) return plainStretch(from, verdict(rule.action))
  const piece = rules.reduceRight<BpfPiece>(
    (next, { args, action }) => checkArguments(args ?? [], done(verdict(action)), next),
    done(errno(EPERM)),
  )
  return { from, piece, plain: null }
}

const plainStretch = (from: number, plain: number): Stretch => ({ from, piece: done(plain), plain })

/** All numbers from 0 on, in order, with neighbours of one verdict as one stretch. */
function joined(verdicts: ReadonlyMap<number, Stretch>, tables: readonly SyscallArchitecture[]): readonly Stretch[] {
  const all: Stretch[] = []
  const add = (stretch: Stretch) => {
    if (stretch.plain === null || all.at(-1)?.plain !== stretch.plain) all.push(stretch)
  }
  for (const table of tables) {
    const base = table === 'x32' ? x32Bit : 0
    const end = base + newestSyscall
    for (let number = base; number <= end; number++) add(verdicts.get(number) ?? plainStretch(number, errno(EPERM)))
    add(plainStretch(end + 1, errno(ENOSYS)))
    // Calls of x32 with numbers of their own, and private ones of arm, lie above.
    const far = [...verdicts.keys()].filter((number) => number > end && number < base + x32Bit)
    for (const number of far.sort((a, b) => a - b)) {
      add(verdicts.get(number)!)
      add(plainStretch(number + 1, errno(ENOSYS)))
    }
  }
  return all
}

function tree(all: readonly Stretch[]): BpfPiece {
  if (all.length === 1) return all[0]!.piece
  const middle = all.length >> 1
  return branch(bpf.greaterOrEqual, all[middle]!.from, tree(all.slice(middle)), tree(all.slice(0, middle)))
}
