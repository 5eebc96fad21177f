import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Engine } from 'tscontainer'
import type { Result, RowGroup } from '../row.ts'
import type { Setting } from '../setting.ts'
import { median } from '../statistics.ts'

const megabytes = (pid: number): number =>
  Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024

/** Where a link leads; nowhere when it has gone meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly command: string
  /** Runs in this process's own pid namespace: not a program of a container. */
  readonly ours: boolean
}

function processes(): readonly Process[] {
  const own = readlinkSync('/proc/self/ns/pid')
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1])
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return [{ pid: Number(name), parent, command, ours: readlinkSync(`/proc/${name}/ns/pid`) === own }]
    } catch {
      return []
    }
  })
}

/** All processes below one, containers' programs left out. */
function descendants(pid: number): readonly Process[] {
  const all = processes()
  const below = (parent: number): readonly Process[] =>
    all.filter((process) => process.parent === parent).flatMap((process) => [process, ...below(process.pid)])
  return below(pid).filter((process) => process.ours)
}

const totalOf = (found: readonly Process[]): number => found.reduce((sum, { pid }) => sum + megabytes(pid), 0)

/** What runs beside the containers of lifetime `process`, shared out to each. */
async function helpers(setting: Setting, runtime: 'crun' | 'runc'): Promise<Result> {
  const count = 20
  await using engine = await Engine.open({ root: join(setting.directory, `memory-${runtime}`), runtime })
  const [image] = await engine.images.load(setting.tarball)
  const before = totalOf(descendants(process.pid))
  const spec = { image: image!, command: ['sleep', '10000'], networks: 'none' as const }
  const containers = await Promise.all(Array.from({ length: count }, async () => engine.containers.run(spec)))
  const own = (totalOf(descendants(process.pid)) - before) / count
  await Promise.all(containers.map((container) => container.remove({ force: true })))
  return {
    row: `helper memory per container, ${runtime} (PSS)`,
    unit: 'MB',
    figures: { tscontainer: own },
    goal: { kind: 'absolute', max: runtime === 'crun' ? 1.2 : 4 },
  }
}

/** The process that holds detached containers. */
async function monitor(setting: Setting): Promise<Result> {
  await using engine = await Engine.open({ root: join(setting.directory, 'memory-monitor') })
  const [image] = await engine.images.load(setting.tarball)
  const spec = { image: image!, command: ['sleep', '10000'], networks: 'none' as const, lifetime: 'detached' as const }
  const container = await engine.containers.run(spec)
  try {
    const below = (pid: number) =>
      readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith(setting.directory))
    const found = processes().filter(({ pid, command }) => command.startsWith('tscontainer-monitor') && below(pid))
    if (found.length !== 1) throw new Error(`expected one monitor of this root, found ${found.length}`)
    return {
      row: 'monitor, once per root (PSS)',
      unit: 'MB',
      figures: { tscontainer: megabytes(found[0]!.pid) },
      goal: { kind: 'absolute', max: 65 },
    }
  } finally {
    await container.remove({ force: true })
  }
}

/** Runs a script in a fresh process five times and gives back the median of the number it prints. */
function fresh(script: string, ...args: readonly string[]): number {
  const flags = ['--expose-gc', '--input-type=module', '--eval', script]
  return median(
    Array.from({ length: 5 }, () =>
      Number(execFileSync(process.execPath, [...flags, ...args], { encoding: 'utf8', cwd: import.meta.dirname })),
    ),
  )
}

function engineMemory(setting: Setting): Result {
  const script = `
    import { readFileSync } from 'node:fs'
    import { setTimeout } from 'node:timers/promises'
    const pss = async () => {
      for (let i = 0; i < 3; i++) { globalThis.gc(); await setTimeout(50) }
      return Number(/^Pss:\\s+(\\d+) kB/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))[1]) / 1024
    }
    const before = await pss()
    const { Engine } = await import('tscontainer')
    const engine = await Engine.open({ root: process.argv[1] })
    const [image] = await engine.images.load(process.argv[2])
    const container = await engine.containers.run({ image, command: ['true'], networks: 'none' })
    await container.wait()
    await container.remove()
    console.log(await pss() - before)
    await engine[Symbol.asyncDispose]()`
  return {
    row: 'memory that an open engine adds to its process (PSS)',
    unit: 'MB',
    figures: { tscontainer: fresh(script, join(setting.directory, 'memory-engine'), setting.tarball) },
    goal: { kind: 'absolute', max: 25 },
  }
}

function importTime(): Result {
  const script = `const started = performance.now(); await import('tscontainer'); console.log(performance.now() - started)`
  return {
    row: "import 'tscontainer'",
    unit: 'ms',
    figures: { tscontainer: fresh(script) },
    goal: { kind: 'absolute', max: 80 },
  }
}

export const memory: RowGroup = {
  name: 'memory',
  measure: async (setting) => [
    await helpers(setting, 'crun'),
    await helpers(setting, 'runc'),
    await monitor(setting),
    engineMemory(setting),
    importTime(),
  ],
}
