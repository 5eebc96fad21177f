/** Failures have a kind to act on, a code to look up and a message that says what to do; nothing is left behind. */
import assert from 'node:assert/strict'
import { Engine, type EngineError, isEngineError } from 'tscontainer'
import { makeScratch } from './support/scratch.ts'

await using scratch = await makeScratch()
await using engine = await Engine.open({ root: scratch.root })
await engine.images.load(scratch.tarball)

async function failure(work: () => PromiseLike<unknown>): Promise<EngineError> {
  try {
    await work()
  } catch (error) {
    if (!isEngineError(error)) throw error
    console.log(`${error.kind.padEnd(18)} ${error.code.padEnd(30)} ${error.message}`)
    return error
  }
  throw new Error('expected a failure')
}

// Otherwise `run` asks the image's registry for what is not here.
const missing = await failure(() => engine.containers.run({ image: 'no-such-image' }, { pull: 'never' }))
assert.equal(missing.kind, 'not_found')

const mistyped = { image: 'busybox:local', comand: ['true'] }
const unknownKey = await failure(() => engine.containers.create(mistyped))
assert.equal(unknownKey.kind, 'invalid_argument')
assert.match(unknownKey.message, /comand/)

const noProgram = await failure(() =>
  engine.containers.run({ image: 'busybox:local', command: ['/no/such/program'], networks: 'none' }),
)
assert.equal(noProgram.code, 'runtime.command_not_found')

const stopped = new AbortController()
stopped.abort(new Error('changed my mind'))
const aborted = await failure(() =>
  engine.containers.run({ image: 'busybox:local', command: ['true'] }, { signal: stopped.signal }),
)
assert.equal(aborted.name, 'AbortError')

const left: string[] = []
for await (const container of engine.containers.list()) left.push(container.id)
console.log(`containers left behind: ${left.length}`)
