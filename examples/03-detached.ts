/** A container that outlives its maker: another process finds it, reads its whole log and its exit code. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { Engine } from 'tscontainer'
import { makeScratch } from './support/scratch.ts'

const name = 'outliving'

if (process.argv[2] !== undefined) {
  // The first process: starts the container and is killed before the container ends.
  const engine = await Engine.open({ root: process.argv[2] })
  const container = await engine.containers.run({
    image: 'busybox:local',
    name,
    command: ['sh', '-c', 'for i in 1 2 3 4 5 6; do echo "tick $i"; sleep 0.2; done; exit 7'],
    networks: 'none',
    lifetime: 'detached',
  })
  container.keep()
  process.kill(process.pid, 'SIGKILL')
}

await using scratch = await makeScratch()
await using engine = await Engine.open({ root: scratch.root })
await engine.images.load(scratch.tarball)

const first = spawnSync(process.execPath, [import.meta.filename, scratch.root], { stdio: 'inherit' })
assert.equal(first.signal, 'SIGKILL')
console.log('the process that started the container is gone')

const container = await engine.containers.get(name)
const status = await container.wait()
assert.equal(status.exitCode, 7)

const lines: string[] = []
for await (const entry of container.logs()) lines.push(entry.text)
assert.equal(lines.length, 6)
console.log(`exit code ${status.exitCode}, ${lines.length} lines: ${lines.join(', ')}`)
await container.remove()
