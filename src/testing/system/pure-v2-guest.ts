import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { type Container, Engine } from '../../index.ts'

/** What the guest found; printed as JSON on stdout for pure-v2.test.ts. */
export interface PureV2Report {
  readonly hierarchy: string
  readonly exitCode: number
  readonly limits: { readonly memory: string; readonly pids: string; readonly cpu: string }
  readonly oom: { readonly exitCode: number; readonly oomKilled: boolean }
  readonly exec: { readonly exitCode: number; readonly stdout: string }
  readonly pause: { readonly movedWhilePaused: boolean; readonly movedAfter: boolean }
  /** Cgroups and mounts that were not there before. */
  readonly left: readonly string[]
}

const cgroups = '/sys/fs/cgroup'
const snapshot = (): string[] => [
  ...readdirSync(cgroups, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name)),
  ...readFileSync('/proc/self/mounts', 'utf8').trim().split('\n'),
]

async function text(container: Container, command: readonly string[]): Promise<string> {
  return (await container.exec(command)).stdout
}

const scratch = process.env['VM_SCRATCH'] ?? '/tmp'
const before = new Set(snapshot())
const engine = await Engine.open({ root: join(scratch, 'root') })
const tarball = join(scratch, 'busybox.tar')
await writeBusyboxTarball(tarball)
const [image] = await engine.images.load(tarball)
if (!image) throw new Error('no image in the tarball')

const plain = await engine.containers.run({ image, command: ['sh', '-c', 'exit 7'], networks: 'none' })
const { exitCode } = await plain.wait()
await plain.remove()

const limited = await engine.containers.run({
  image,
  command: ['sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i > /tmp/count; sleep 0.05; done'],
  networks: 'none',
  resources: { memory: '64m', pids: 32, cpus: 0.5 },
})
const knob = async (name: string) => (await text(limited, ['cat', `${cgroups}/${name}`])).trim()
const limits = { memory: await knob('memory.max'), pids: await knob('pids.max'), cpu: await knob('cpu.max') }
const inside = await limited.exec(['sh', '-c', 'echo inside; exit 3'])
const exec = { exitCode: inside.exitCode, stdout: inside.stdout }

// The frozen container cannot be asked, so its own view of the file is read through its root.
const { pid } = await limited.inspect()
const count = () => readFileSync(`/proc/${pid}/root/tmp/count`, 'utf8').trim()
await limited.pause()
const frozen = count()
await sleep(500)
const movedWhilePaused = count() !== frozen
await limited.unpause()
await sleep(1000)
const pause = { movedWhilePaused, movedAfter: count() !== frozen }
await limited.remove({ force: true })

const hungry = await engine.containers.run({
  image,
  command: ['sh', '-c', 'exec dd if=/dev/zero of=/dev/null bs=200M count=1'],
  networks: 'none',
  resources: { memory: '32m' },
})
const died = await hungry.wait()
const oom = { exitCode: died.exitCode, oomKilled: died.oomKilled }
await hungry.remove()

await engine[Symbol.asyncDispose]()
const report: PureV2Report = {
  hierarchy: execFileSync('stat', ['-fc', '%T', cgroups], { encoding: 'utf8' }).trim(),
  ...{ exitCode, limits, oom, exec, pause },
  left: snapshot().filter((entry) => !before.has(entry)),
}
console.log(JSON.stringify(report))
