import { createInterface } from 'node:readline'
// The built package: it and its monitors start several times faster, and it is what dies at users'.
import { type Container, Engine } from 'tscontainer'

// An engine in a process of its own, which does what it is told: a request as JSON a line, an answer as JSON a line.
const [root = ''] = process.argv.slice(2)
const open = () => Engine.open({ root, diagnostics: () => {} })
const engine = await open()

const work: Record<string, (argument: string, more: object) => Promise<unknown>> = {
  /** Runs a detached container with a shell script. */
  run: async (script, more) => {
    const container = await engine.containers.run({
      image: 'busybox:local',
      lifetime: 'detached',
      networks: 'none',
      stopTimeout: 2000,
      command: ['sh', '-c', script],
      ...more,
    })
    return container.keep().id
  },
  wait: async (id) => (await engine.containers.get(id)).wait(),
  stop: async (id) => (await engine.containers.get(id)).stop(),
  remove: async (id) => (await engine.containers.get(id)).remove({ force: true }),
  /** All lines of both streams, apart. */
  lines: async (id) => {
    const texts: Record<string, string[]> = { stdout: [], stderr: [] }
    for await (const { stream, text } of (await engine.containers.get(id)).logs()) texts[stream]!.push(text)
    return texts
  },
  list: async () => (await Array.fromAsync(engine.containers.list())).map((container: Container) => container.id),
  monitors: async () => (await engine.info()).owners.filter(({ role }) => role === 'monitor').map(({ pid }) => pid),
  /** What another engine does that comes up now. */
  reopen: async () => {
    await using _ = await open()
  },
}

interface Asked {
  readonly number: number
  readonly op: string
  readonly argument?: string
  readonly more?: object
}

process.stdout.write('open\n')
for await (const line of createInterface({ input: process.stdin })) {
  const { number, op, argument, more } = JSON.parse(line) as Asked
  void work[op]!(argument ?? '', more ?? {}).then(
    (value) => process.stdout.write(`${JSON.stringify({ number, value: value ?? null })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ number, error: String(error) })}\n`),
  )
}
await engine[Symbol.asyncDispose]()
