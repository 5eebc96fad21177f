/** A test harness's day: many short containers at once, each with its own limits, mounts and input. */
import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Engine } from 'tscontainer'
import { makeScratch } from './support/scratch.ts'

await using scratch = await makeScratch()
await using engine = await Engine.open({ root: scratch.root })
const [image] = await engine.images.load(scratch.tarball)
assert(image)

const results = join(scratch.directory, 'results')
await mkdir(results)

const started = performance.now()
const codes = await Promise.all(
  Array.from({ length: 30 }, async (_, index) => {
    await using job = await engine.containers.run({
      image,
      command: ['sh', '-c', 'echo "$JOB" > /results/$JOB; exit $((JOB % 3))'],
      env: { JOB: String(index) },
      mounts: [
        { type: 'bind', source: results, target: '/results' },
        { type: 'tmpfs', target: '/scratch', size: '1m' },
      ],
      readOnly: true,
      networks: 'none',
      resources: { memory: '64m', pids: 32 },
    })
    return (await job.wait()).exitCode
  }),
)
assert.deepEqual(
  codes,
  Array.from({ length: 30 }, (_, index) => index % 3),
)
assert.equal(await readFile(join(results, '29'), 'utf8'), '29\n')
console.log(`30 jobs in ${(performance.now() - started).toFixed(0)} ms`)
