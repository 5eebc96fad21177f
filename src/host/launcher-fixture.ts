import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isEngineError } from '../errors/engine-error.ts'
import type { LaunchedProcess, Launcher, LaunchRequest } from './launcher.ts'
import { createLauncher } from './launcher-client.ts'
import type { MountSpec } from './mount-spec.ts'

/** A launcher with a directory of its own, for tests. */
export class LauncherFixture implements AsyncDisposable {
  readonly scratch = realpathSync(mkdtempSync(join(tmpdir(), 'launcher-')))
  /** What it reported. */
  readonly told: unknown[] = []
  readonly launcher: Launcher = createLauncher({ diagnostics: (diagnostic) => this.told.push(diagnostic) })

  folder(name: string, files: Record<string, string> = {}): string {
    const path = join(this.scratch, name)
    mkdirSync(path, { recursive: true })
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
    return path
  }

  overlay(lower: readonly string[], name = 'one'): MountSpec {
    return {
      type: 'overlay',
      source: 'overlay',
      options: [
        `lowerdir=${lower.join(':')}`,
        `upperdir=${this.folder(`${name}/upper`)}`,
        `workdir=${this.folder(`${name}/work`)}`,
      ],
    }
  }

  /** Runs a shell line with stdout in a file. */
  async shell(line: string, more: Partial<LaunchRequest> = {}) {
    const file = join(this.scratch, 'output')
    const fd = openSync(file, 'w')
    try {
      const child = await this.launcher.launch({
        file: 'sh',
        args: ['-c', line],
        env: { PATH: '/usr/bin:/bin' },
        stdio: ['ignore', fd, fd],
        session: 'own',
        ...more,
      })
      const exit = await endOf(child)
      return { ...exit, output: readFileSync(file, 'utf8'), pid: child.pid }
    } finally {
      closeSync(fd)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.launcher[Symbol.asyncDispose]()
    rmSync(this.scratch, { recursive: true, force: true })
  }
}

/** Waits for its end, and keeps this process alive meanwhile. */
export const endOf = async (child: LaunchedProcess) => {
  child.ref()
  return await child.exited
}

/** The typed error that the work ends with. */
export const failureOf = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  )
  if (!isEngineError(error)) throw new Error(`no typed error: ${error}`)
  return error
}

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length
