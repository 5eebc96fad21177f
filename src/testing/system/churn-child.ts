// The built package: it starts several times faster, and it is what dies at users'.
import { Engine } from 'tscontainer'

// An engine's process that is to be killed: containers come and go until somebody ends it. Says on stdout what it
// acknowledged.
const [root = '', seed = '1', network = 'none'] = process.argv.slice(2)

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

await Promise.all(
  [1, 2, 3].map(async () => {
    for (;;) await oneLife()
  }),
)
