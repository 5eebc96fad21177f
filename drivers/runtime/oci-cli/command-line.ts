import { dirname, join } from 'node:path'
import type { Bundle, DriverContext, LaunchRequest, RuntimeSpec, Stdio } from 'tscontainer/driver-kit'
import { bundleFiles } from './bundle-files.ts'
import { isSystemdPath } from './cgroup-path.ts'

/** Calls of one runtime program, with its state below the driver's run directory. */
export class CommandLine {
  readonly #binary: string
  readonly #context: DriverContext

  constructor(binary: string, context: DriverContext) {
    this.#binary = binary
    this.#context = context
  }

  /** Where the runtime keeps what it knows of its containers, a directory each. */
  get stateDirectory(): string {
    return join(this.#context.runDirectory, 'state')
  }

  run(id: string, bundle: Bundle): LaunchRequest {
    const { directory, spec, root, lifetime } = bundle
    const args = [
      ...this.#global(spec, join(directory, bundleFiles.log)),
      'run',
      '--bundle',
      directory,
      '--pid-file',
      join(directory, bundleFiles.pid),
      id,
    ]
    const request = { root, file: this.#binary, args, env: this.#env(directory, lifetime), session: 'own' as const }
    return { ...request, stdio: descriptors(bundle.stdio) }
  }

  exec(id: string, spec: RuntimeSpec, files: ExecFiles, stdio: Stdio, lifetime: Bundle['lifetime']): LaunchRequest {
    const args = [...this.#global(spec, files.log), 'exec', '--process', files.process, '--pid-file', files.pid, id]
    const env = this.#env(dirname(files.process), lifetime)
    return { file: this.#binary, args, env, session: 'own', stdio: descriptors(stdio) }
  }

  update(id: string, spec: RuntimeSpec, resources: string, log: string): LaunchRequest {
    const args = [...this.#global(spec, log), 'update', '--resources', resources, id]
    return {
      file: this.#binary,
      args,
      env: this.#env(dirname(resources), 'detached'),
      session: 'own',
      stdio: ['ignore', 'ignore', 'ignore'],
    }
  }

  #global(spec: RuntimeSpec, log: string): string[] {
    const systemd = spec.linux.cgroupsPath !== undefined && isSystemdPath(spec.linux.cgroupsPath)
    return [
      '--root',
      this.stateDirectory,
      '--log',
      log,
      '--log-format',
      'json',
      ...(systemd ? ['--systemd-cgroup'] : []),
    ]
  }

  // Nothing else of ours: not even the socket on which systemd waits for a service's notice.
  #env(scratch: string, lifetime: Bundle['lifetime']): Readonly<Record<string, string>> {
    const env = runtimeEnv(scratch)
    return lifetime === 'process' ? { ...env, ...this.#context.launchEnv } : env
  }
}

/**
 * crun mounts itself on a file that it makes for a moment: where the container's files are, so that it goes with them when
 * crun is killed in that moment. Source: crun, src/libcrun/cloned_binary.c.
 */
export const runtimeEnv = (scratch: string): Readonly<Record<string, string>> => ({
  PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  _LIBCONTAINER_STATEDIR: scratch,
})

export interface ExecFiles {
  readonly process: string
  readonly pid: string
  readonly log: string
}

function descriptors(stdio: Stdio): readonly (number | 'ignore')[] {
  if (stdio.kind === 'terminal') return [stdio.slave, stdio.slave, stdio.slave]
  return [stdio.stdin ?? 'ignore', stdio.stdout, stdio.stderr]
}
