// The built package: it starts several times faster, and it is what dies at users'.
import { Engine } from 'tscontainer'

// An engine's process that is to be killed: containers come and go until somebody ends it. Says on stdout what it
// acknowledged.
const [root = '', seed = '1', network = 'none', lifetimes = 'process'] = process.argv.slice(2)

/** Park and Miller's generator: the same seed gives the same story. */
let state = Number(seed) * 48271 + 1
const random = (below: number): number => {
  state = (state * 48271) % 2147483647
  return state % below
}

const engine = await Engine.open({ root, diagnostics: () => {} })
process.stdout.write('open\n')

async function oneLife(): Promise<void> {
  const networks = network === 'bridge' && random(2) === 0 ? ['bridge'] : ('none' as const)
  const script = ['exit 0', 'sleep 0.02', 'sleep 100 & sleep 100', 'while :; do echo line; done'][random(4)]!
  const container = await engine.containers.run({ image: 'busybox:local', networks, command: ['sh', '-c', script] })
  process.stdout.write(`running ${container.id}\n`)
  if (random(2) === 0) await container.exec(['true']).catch(() => {})
  if (random(3) > 0) await container.remove({ force: true })
}

/** One that stays: how many lines it writes to each stream, and its exit code, are told with its id. */
async function oneDetached(): Promise<void> {
  const [lines, code] = [1 + random(10), random(100)]
  const script = `for i in $(seq 1 ${lines}); do echo $i; echo $i >&2; sleep 0.02; done; exit ${code}`
  const container = await engine.containers.run({
    image: 'busybox:local',
    networks: 'none',
    lifetime: 'detached',
    command: ['sh', '-c', script],
  })
  container.keep()
  process.stdout.write(`detached ${container.id} ${lines} ${code}\n`)
}

await Promise.all(
  [1, 2, 3].map(async (lane) => {
    for (;;)
      if (lane === 1 && lifetimes === 'both') await oneDetached().catch(() => {})
      else await oneLife()
  }),
)
