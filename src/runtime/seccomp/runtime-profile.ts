import type { RuntimeSeccomp, RuntimeSeccompArg, RuntimeSeccompRule } from '../../oci/runtime-spec.ts'
import type { ArgCondition, ProfileRule } from './profile-rule.ts'

const architectures: Readonly<Record<string, readonly string[]>> = {
  amd64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
  riscv64: ['SCMP_ARCH_RISCV64'],
  ppc64le: ['SCMP_ARCH_PPC64LE'],
  loong64: ['SCMP_ARCH_LOONGARCH64'],
  arm: ['SCMP_ARCH_ARM'],
  '386': ['SCMP_ARCH_X86'],
}

/** The rules in the words of config.json, for runtimes that compile them themselves. */
export function runtimeProfile(rules: readonly ProfileRule[], architecture: string): RuntimeSeccomp {
  const own = architectures[architecture]
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    ...(own && { architectures: own }),
    syscalls: rules.map(runtimeRule),
  }
}

function runtimeRule({ names, action, args }: ProfileRule): RuntimeSeccompRule {
  const verdict =
    action === 'allow' ? { action: 'SCMP_ACT_ALLOW' } : { action: 'SCMP_ACT_ERRNO', errnoRet: action.errno }
  return { names, ...verdict, ...(args && { args: args.map(runtimeArg) }) }
}

function runtimeArg({ index, op, value, mask }: ArgCondition): RuntimeSeccompArg {
  // config.json calls the mask `value` and what is left of the argument `valueTwo`.
  if (op === 'masked_eq') return { index, value: mask ?? 0, valueTwo: value, op: 'SCMP_CMP_MASKED_EQ' }
  return { index, value, op: `SCMP_CMP_${op.toUpperCase()}` }
}
