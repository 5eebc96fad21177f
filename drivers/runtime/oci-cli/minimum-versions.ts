import { compareVersions, type RuntimeVersion } from './runtime-version.ts'

interface Rule {
  readonly flavor: string
  /** The first upstream version without the fault, per minor line where it was fixed in several. */
  readonly fixed: readonly string[]
  /** Packages that carry the fix on an older version: upstream version, and what the revision must match. */
  readonly patched: readonly { readonly version: string; readonly revision: RegExp }[]
  readonly fault: string
}

/** Faults that let a container out on the path that we use: never run. */
const refused: readonly Rule[] = [
  {
    flavor: 'runc',
    fixed: ['1.1.12'],
    // Debian security fixes keep the version and raise the revision; `runc --version` prints it as the commit.
    patched: [
      { version: '1.1.5', revision: /\+deb12u[1-9]/ },
      { version: '1.0.0-rc93', revision: /\+deb11u[3-9]/ },
    ],
    fault: 'CVE-2024-21626: a leaked descriptor lets a container out',
  },
  {
    flavor: 'crun',
    fixed: ['1.4.4'],
    patched: [],
    fault: 'CVE-2022-27650: programs inherit capabilities that they must not have',
  },
]

/** Faults that need a hostile image together with rarer conditions: run, with a warning. */
const warned: readonly Rule[] = [
  {
    flavor: 'runc',
    fixed: ['1.2.8', '1.3.3', '1.4.0-rc.3'],
    patched: [],
    fault: 'CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881: races over masked paths and /dev/console',
  },
]

/** What is known against a runtime: a reason to refuse it, and warnings. */
export function judgeVersion(version: RuntimeVersion): {
  readonly refusal: string | null
  readonly warnings: readonly string[]
} {
  const describe = (rule: Rule) =>
    `${version.flavor} ${version.revision ?? version.version} has ${rule.fault}. Fixed in ${rule.fixed.join(', ')}.`
  const faulty = (rule: Rule) => rule.flavor === version.flavor && !isFixed(version, rule)
  const refusal = refused.find(faulty)
  return { refusal: refusal ? describe(refusal) : null, warnings: warned.filter(faulty).map(describe) }
}

function isFixed(version: RuntimeVersion, rule: Rule): boolean {
  if (rule.patched.some((p) => sameVersion(p.version, version.version) && p.revision.test(version.revision ?? '')))
    return true
  // Of several fixed lines the one of the same minor version counts; lines after the last are fixed from their start.
  const sameLine = rule.fixed.find((fixed) => minorOf(fixed) === minorOf(version.version))
  return compareVersions(version.version, sameLine ?? rule.fixed.at(-1)!) >= 0
}

const minorOf = (version: string) => version.split('.').slice(0, 2).join('.')
const sameVersion = (a: string, b: string) => compareVersions(a, b) === 0
