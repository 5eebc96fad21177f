import { type EngineError, runtimeErrors } from 'tscontainer/driver-kit'
import { readIfThere } from './bundle-files.ts'

/** What a runtime wrote into its log: its errors, or all of it when it is not what we expect. */
export function readRuntimeLog(path: string): string {
  const text = readIfThere(path) ?? ''
  const errors: string[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    try {
      const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown }
      if (typeof msg === 'string' && (level === 'error' || level === 'fatal')) errors.push(msg)
    } catch {
      errors.push(line)
    }
  }
  return errors.join('\n')
}

// The words of crun and runc, of the versions since 1.0.
const notFound = [
  /executable file [`"'].*[`"'] not found/i,
  /exec: ".*": (?:executable file not found|stat .*: no such file or directory|no such file or directory)/i,
]
const notExecutable = [
  /^open executable: /im,
  /exec: ".*": (?:permission denied|is a directory|exec format error|not a directory)/i,
  /^exec:? .*exec format error/im,
  /the path [`"'].*[`"'] (?:exists but it is not executable|is not a regular file)/i,
]

/** The error of a start or exec that failed; `said` is what the runtime logged. */
export function startError(
  what: string,
  command: readonly string[],
  said: string,
  exitCode: number | null,
): EngineError {
  const program = command[0] ?? ''
  const subject = { type: 'command', id: program }
  const details = { runtime: said, runtimeExitCode: exitCode }
  if (notFound.some((pattern) => pattern.test(said)))
    return runtimeErrors.error('command_not_found', {
      message: `${what}: there is no program "${program}" in the container. Check its spelling, PATH and the image.`,
      subject,
      details: { ...details, exitCode: 127 },
    })
  if (notExecutable.some((pattern) => pattern.test(said))) return notExecutableError(what, program, said, details)
  return runtimeErrors.error('start_failed', {
    message: `${what}: the OCI runtime failed${exitCode === null ? '' : ` with exit code ${exitCode}`}: ${said || 'it said nothing'}.`,
    subject,
    details: { ...details, exitCode: 125 },
  })
}

export function notExecutableError(what: string, program: string, said: string, details = {}): EngineError {
  return runtimeErrors.error('command_not_executable', {
    message: `${what}: the program "${program}" cannot be executed: ${said}.`,
    subject: { type: 'command', id: program },
    details: { ...details, runtime: said, exitCode: 126 },
  })
}
