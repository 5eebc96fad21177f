/** What `<binary> --version` says. */
export interface RuntimeVersion {
  /** Which program it is: crun, runc, or the name that another one gives itself. */
  readonly flavor: string
  /** As it is printed. */
  readonly version: string
  /** The package's version where the distribution prints it as the commit (Debian's runc). */
  readonly revision: string | null
  /** Whether it was built with seccomp support. */
  readonly seccomp: boolean
}

/** Null when the text is not that of an OCI runtime. */
export function parseVersion(text: string): RuntimeVersion | null {
  const first = /^(\S+) version:? v?(\d\S*)/m.exec(text)
  if (!first) return null
  const commit = /^commit: (\S+)/m.exec(text)?.[1] ?? null
  return {
    flavor: first[1]!,
    version: first[2]!,
    revision: commit !== null && /^\d+\.\d+.*-/.test(commit) ? commit : null,
    seccomp: /\+SECCOMP\b/.test(text) || /^libseccomp: /m.test(text),
  }
}

/** -1, 0 or 1; by the numbers of major.minor.patch, a pre-release (`-rc93`, `~rc1`) before its release. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [split(a), split(b)]
  for (const index of [0, 1, 2] as const)
    if (x.numbers[index] !== y.numbers[index]) return x.numbers[index] < y.numbers[index] ? -1 : 1
  if (x.candidate === y.candidate) return 0
  return x.candidate < y.candidate ? -1 : 1
}

function split(version: string): { numbers: readonly [number, number, number]; candidate: number } {
  const match = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-~.]?rc\.?(\d+))?/.exec(version)
  const number = (index: number) => Number(match?.[index] ?? 0)
  return {
    numbers: [number(1), number(2), number(3)],
    candidate: match?.[4] ? Number(match[4]) : Number.POSITIVE_INFINITY,
  }
}
