import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { SeccompPart } from '../build-spec.ts'
import type { SeccompRequest } from './default-seccomp.ts'

/**
 * Changes with what `defaultSeccomp` gives, so that no filter of another version of this package is used: a test knows
 * the value.
 */
export const filterEdition = '8cd46520d7fb4088'

interface Remembered {
  readonly key: string
  readonly part: SeccompPart
  /** Of the part, against damage. */
  readonly digest: string
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/**
 * Docker's default filter from `file`, where an earlier engine left it; else it is made, which means loading the tables
 * of system calls and some milliseconds of work, and left there.
 */
export async function rememberedSeccomp(request: SeccompRequest, file: string): Promise<SeccompPart> {
  const key = JSON.stringify([filterEdition, request])
  const known = recall(file, key)
  if (known) return known
  const { defaultSeccomp } = await import('./default-seccomp.ts')
  const part = defaultSeccomp(request)
  remember(file, { key, part, digest: sha256(JSON.stringify(part)) })
  return part
}

function recall(file: string, wanted: string): SeccompPart | null {
  try {
    const { key, part, digest } = JSON.parse(readFileSync(file, 'utf8')) as Remembered
    return key === wanted && sha256(JSON.stringify(part)) === digest ? part : null
  } catch {
    // Not there, torn or foreign: made anew.
    return null
  }
}

function remember(file: string, remembered: Remembered): void {
  const draft = `${file}.${process.pid}`
  try {
    writeFileSync(draft, JSON.stringify(remembered), { mode: 0o600 })
    renameSync(draft, file)
  } catch {
    // A full disk must not keep anybody from starting a container: the next engine makes the filter again.
    rmSync(draft, { force: true })
  }
}
