import { type BpfPiece, bpf, compare, statement } from './bpf-program.ts'
import type { ArgCondition } from './profile-rule.ts'

// Offsets in struct seccomp_data (linux/seccomp.h), little endian: nr 0, arch 4, instruction pointer 8, arguments 16.
const low = (index: number) => 16 + 8 * index
const high = (index: number) => 20 + 8 * index

/** `whenTrue` if all conditions hold, else `whenFalse`. */
export function checkArguments(args: readonly ArgCondition[], whenTrue: BpfPiece, whenFalse: BpfPiece): BpfPiece {
  return args.reduceRight<BpfPiece>((then, condition) => checkOne(condition, then, whenFalse), whenTrue)
}

// Layout: test | whenFalse | whenTrue; the tests jump by what is left of themselves.
function checkOne(condition: ArgCondition, whenTrue: BpfPiece, whenFalse: BpfPiece): BpfPiece {
  const test = testOf(condition)
  const whole = test.length
  const resolve = (target: 'yes' | 'no' | number, at: number): number => {
    if (typeof target === 'number') return target
    return whole - at - 1 + (target === 'no' ? 0 : whenFalse.length)
  }
  if (whenFalse.length + whole > 255) throw new RangeError('too many conditions on one system call')
  const instructions = test.map((step, at) =>
    'load' in step || 'and' in step
      ? statement('load' in step ? bpf.load : bpf.and, 'load' in step ? step.load : step.and)
      : compare(bpf[step.test], step.k, resolve(step.yes, at), resolve(step.no, at)),
  )
  return [...instructions, ...whenFalse, ...whenTrue]
}

type Step =
  | { readonly load: number }
  | { readonly and: number }
  | {
      readonly test: 'equal' | 'greater' | 'greaterOrEqual'
      readonly k: number
      /** Where to go: the verdict, or how many steps to skip. */
      readonly yes: 'yes' | 'no' | number
      readonly no: 'yes' | 'no' | number
    }

function testOf({ index, op, value, mask, bits }: ArgCondition): readonly Step[] {
  const [valueHigh, valueLow] = halves(value)
  const lowTest = lowStep(op, valueLow)
  if (op === 'masked_eq') {
    const [maskHigh, maskLow] = halves(mask ?? 0)
    const lower: Step[] = [{ load: low(index) }, { and: maskLow }, lowTest]
    // A mask of 32 bits says nothing about the rest.
    if (bits === 32 || maskHigh === 0) return lower
    return [{ load: high(index) }, { and: maskHigh }, { test: 'equal', k: valueHigh, yes: 0, no: 'no' }, ...lower]
  }
  const lower: Step[] = [{ load: low(index) }, lowTest]
  return bits === 32 ? lower : [{ load: high(index) }, ...highSteps(op, valueHigh), ...lower]
}

/** The upper halves decide unless they are equal. */
function highSteps(op: Exclude<ArgCondition['op'], 'masked_eq'>, k: number): readonly Step[] {
  if (op === 'eq') return [{ test: 'equal', k, yes: 0, no: 'no' }]
  if (op === 'ne') return [{ test: 'equal', k, yes: 0, no: 'yes' }]
  const isGreater = op === 'gt' || op === 'ge'
  return [
    { test: 'greater', k, yes: isGreater ? 'yes' : 'no', no: 0 },
    { test: 'equal', k, yes: 0, no: isGreater ? 'no' : 'yes' },
  ]
}

function lowStep(op: ArgCondition['op'], k: number): Step {
  switch (op) {
    case 'eq':
    case 'masked_eq':
      return { test: 'equal', k, yes: 'yes', no: 'no' }
    case 'ne':
      return { test: 'equal', k, yes: 'no', no: 'yes' }
    case 'gt':
      return { test: 'greater', k, yes: 'yes', no: 'no' }
    case 'le':
      return { test: 'greater', k, yes: 'no', no: 'yes' }
    case 'ge':
      return { test: 'greaterOrEqual', k, yes: 'yes', no: 'no' }
    default:
      return { test: 'greaterOrEqual', k, yes: 'no', no: 'yes' }
  }
}

const halves = (value: number): readonly [number, number] => [Math.floor(value / 2 ** 32), value % 2 ** 32]
