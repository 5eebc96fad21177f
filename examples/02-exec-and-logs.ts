/** Commands in a running container, and its log: the last lines, a time span, and following to the end. */
import assert from 'node:assert/strict'
import { Engine } from 'tscontainer'
import { makeScratch } from './support/scratch.ts'

await using scratch = await makeScratch()
await using engine = await Engine.open({ root: scratch.root })
await engine.images.load(scratch.tarball)

// `await using`: the container is stopped and removed at the end of the block, whatever happens in it.
await using counter = await engine.containers.run({
  image: 'busybox:local',
  command: ['sh', '-c', 'for i in 1 2 3 4 5; do echo "line $i"; echo "warning $i" >&2; sleep 0.1; done; sleep 60'],
  networks: 'none',
  stopTimeout: 0,
})

const result = await counter.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'])
assert.equal(result.exitCode, 3)
console.log(`exec: code ${result.exitCode}, stdout and stderr apart`)

const whoami = await counter.exec(['id', '-u'], { user: 'nobody' })
assert.equal(whoami.stdout.trim(), '65534')

// Following: the loop ends the subscription when it is left.
const seen: string[] = []
for await (const entry of counter.logs({ follow: true })) {
  if (entry.stream === 'stdout') seen.push(entry.text)
  if (entry.text === 'line 5') break
}
assert.deepEqual(seen, ['line 1', 'line 2', 'line 3', 'line 4', 'line 5'])
console.log(`followed: ${seen.join(', ')}`)

const tail: string[] = []
for await (const entry of counter.logs({ tail: 1, streams: ['stdout'] })) tail.push(entry.text)
assert.deepEqual(tail, ['line 5'])
console.log(`tail: ${tail.join(', ')}`)
