import { execFile } from 'node:child_process'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

export const repository = join(import.meta.dirname, '../../..')

export interface ProgramResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, whatever its exit code, without this run's own Node options and conditions. */
export async function run(file: string, args: readonly string[], cwd: string): Promise<ProgramResult> {
  const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env
  try {
    const { stdout, stderr } = await execFileAsync(file, [...args], { cwd, env, maxBuffer: 64 << 20, timeout: 240_000 })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const failure = error as { code?: number | string; stdout?: string; stderr?: string; message: string }
    if (typeof failure.code !== 'number') throw error
    return { code: failure.code, stdout: failure.stdout ?? '', stderr: failure.stderr ?? '' }
  }
}

/** Like `run`, and fails with the program's output when its exit code is not 0. */
export async function mustRun(file: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run(file, args, cwd)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`)
  return stdout
}

/** Builds when needed and packs the package as it would be published; gives back the tarball. */
export async function packPackage(into: string): Promise<string> {
  await mustRun(process.execPath, [join(repository, 'scripts/build-when-changed.ts')], repository)
  // dist is there already, so the prepack script need not build it once more.
  const output = await mustRun('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into], repository)
  const [packed] = JSON.parse(output) as readonly { readonly filename: string }[]
  if (!packed) throw new Error(`npm pack named no file: ${output}`)
  return join(into, packed.filename)
}

/** An empty project with the tarball installed in it, by npm, as a user would. */
export async function makeConsumer(directory: string, tarball: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline', '--ignore-scripts']
  await mustRun('npm', ['install', ...quiet, tarball], directory)
}

/** Gives a project the repository's compiler and Node types, as if it had installed them. */
export async function addTypeScript(directory: string): Promise<void> {
  for (const name of ['typescript', '@types/node', 'undici-types'])
    await cp(join(repository, 'node_modules', name), join(directory, 'node_modules', name), { recursive: true })
}

/** Runs the TypeScript compiler in a project. */
export const compile = (directory: string, ...args: readonly string[]): Promise<ProgramResult> =>
  run(process.execPath, ['node_modules/typescript/bin/tsc', ...args], directory)
