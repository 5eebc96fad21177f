import { execFileSync } from 'node:child_process'
import { copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Engine, Image } from 'tscontainer'
import type { RuntimeSpec } from 'tscontainer/driver-kit'
import { quote } from './bare-shell.ts'

/** A bundle for a run by hand, and the lines of shell that use it. */
export interface BareBundle {
  readonly id: string
  readonly directory: string
  /** Mounts its root. */
  readonly mount: string
  /** Runs it in the foreground. */
  run(runtime: string): string
  /** Unmounts its root and deletes what was written. */
  readonly clean: string
}

/** "Unlimited" is 2^64 - 1, which no JavaScript number is. */
const stringify = (value: unknown): string =>
  JSON.stringify(value).replaceAll('18446744073709552000', '18446744073709551615')

/** The files that the engine binds into its container (hosts, resolv.conf) vanish with it: copies take their place. */
function keepFiles(spec: RuntimeSpec, root: string, directory: string): RuntimeSpec {
  const mounts = spec.mounts.map((mount) => {
    if (!mount.source?.startsWith(`${root}/`)) return mount
    const copy = join(directory, basename(mount.source))
    copyFileSync(mount.source, copy)
    return { ...mount, source: copy }
  })
  return { ...spec, mounts }
}

/**
 * Bundles for the bare limit, made from the very config.json that the engine wrote for a container of the same image:
 * only the arguments, the root's path, the cgroup's name and the network namespace differ.
 */
export class BareBundles {
  readonly directory: string
  readonly #spec: RuntimeSpec
  readonly #lower: string
  #count = 0

  private constructor(directory: string, spec: RuntimeSpec, lower: string) {
    this.directory = directory
    this.#spec = spec
    this.#lower = lower
  }

  static async make(
    engine: Engine,
    root: string,
    image: Image,
    tarball: string,
    directory: string,
  ): Promise<BareBundles> {
    const lower = join(directory, 'lower')
    mkdirSync(lower, { recursive: true })
    const model = await engine.containers.run({ image, command: ['sleep', '1000'], networks: 'none' })
    try {
      const [file] = globSync(`containers/${model.id}/**/config.json`, { cwd: root })
      if (!file) throw new Error('the engine wrote no config.json below its root')
      const spec = JSON.parse(readFileSync(join(root, file), 'utf8')) as RuntimeSpec
      const unpack = `tar -xOf ${quote(tarball)} --wildcards '*/layer.tar' | tar -x -C ${quote(lower)}`
      execFileSync('sh', ['-c', unpack])
      return new BareBundles(directory, keepFiles(spec, root, directory), lower)
    } finally {
      await model.remove({ force: true })
    }
  }

  add(args: readonly string[], networkNamespace?: string): BareBundle {
    const id = `tscbare${process.pid}n${this.#count++}`
    const directory = join(this.directory, id)
    for (const name of ['upper', 'work', 'merged']) mkdirSync(join(directory, name), { recursive: true })
    const spec = this.#spec
    const merged = join(directory, 'merged')
    const changed = {
      ...spec,
      root: { ...spec.root, path: merged },
      process: { ...spec.process, args },
      linux: {
        ...spec.linux,
        cgroupsPath: `/tscontainer-bench/${id}`,
        namespaces: spec.linux.namespaces?.map((namespace) =>
          namespace.type === 'network'
            ? { type: 'network', ...(networkNamespace === undefined ? {} : { path: networkNamespace }) }
            : namespace,
        ),
      },
    }
    writeFileSync(join(directory, 'config.json'), stringify(changed))
    const home = quote(directory)
    const layers = quote(`lowerdir=${this.#lower},upperdir=${directory}/upper,workdir=${directory}/work`)
    return {
      id,
      directory,
      mount: `mount -t overlay overlay -o ${layers} ${quote(merged)}`,
      run: (runtime) => `${runtime} run --bundle ${home} ${id}`,
      clean: `umount ${quote(merged)} && rm -rf ${home}/upper ${home}/work && mkdir ${home}/upper ${home}/work`,
    }
  }
}
