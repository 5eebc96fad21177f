/** A condition on one argument of a system call; unsigned comparisons. */
export interface ArgCondition {
  /** From 0 to 5. */
  readonly index: number
  readonly op: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'masked_eq'
  readonly value: number
  /** For `masked_eq`: the bits that are compared. */
  readonly mask?: number
  /** 32 where the kernel itself looks at the lower half only. Default 64. */
  readonly bits?: 32
}

export type RuleAction = 'allow' | { readonly errno: number }

export interface RuleScope {
  readonly capabilities?: readonly string[]
  /** Of the machine, in the names of images. */
  readonly architectures?: readonly string[]
  /** `major.minor`. */
  readonly minKernel?: string
}

/** What happens to some system calls; all conditions must hold. Several rules of one call are alternatives. */
export interface ProfileRule {
  readonly names: readonly string[]
  readonly action: RuleAction
  readonly args?: readonly ArgCondition[]
  /** The rule counts only where all of these hold: every capability, one of the architectures, that kernel or a later one. */
  readonly includes?: RuleScope
  /** The rule does not count where one of these holds. */
  readonly excludes?: RuleScope
}

export interface ProfileSubject {
  readonly architecture: string
  readonly kernelRelease: string
  readonly capabilities: readonly string[]
}

/** The rules that count for a container. */
export function selectRules(profile: readonly ProfileRule[], subject: ProfileSubject): readonly ProfileRule[] {
  const has = (capability: string) => subject.capabilities.includes(capability)
  return profile.filter(({ includes, excludes }) => {
    if (includes?.architectures && !includes.architectures.includes(subject.architecture)) return false
    if (includes?.capabilities && !includes.capabilities.every(has)) return false
    if (includes?.minKernel && !kernelAtLeast(subject.kernelRelease, includes.minKernel)) return false
    if (excludes?.architectures?.includes(subject.architecture)) return false
    return !excludes?.capabilities?.some(has)
  })
}

function kernelAtLeast(release: string, least: string): boolean {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number)
  const [leastMajor = 0, leastMinor = 0] = least.split('.').map(Number)
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}
