/** A private registry with users: log in, push, pull; and a mirror that stands in for Docker Hub. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { Engine, isEngineError } from 'tscontainer'
import { startPrivateRegistry } from './support/private-registry.ts'
import { makeScratch } from './support/scratch.ts'

await using scratch = await makeScratch()
await using company = await startPrivateRegistry({ ada: 'lovelace' })
await using mirror = await startPrivateRegistry()

await using engine = await Engine.open({
  root: scratch.root,
  registries: {
    // Usually the default, ~/.docker/config.json, which Docker's command line shares.
    dockerConfig: join(scratch.directory, 'config.json'),
    hosts: {
      // Every name without a registry is asked for here first; Docker Hub comes last.
      'docker.io': { mirrors: [`http://${mirror.host}`] },
    },
  },
})
const [image] = await engine.images.load(scratch.tarball)
assert(image)

// Nobody in particular may not push there.
const name = `${company.host}/team/busybox:1`
await assert.rejects(image.push(name), (error) => isEngineError(error, { code: 'registry.unauthorized' }))
await engine.registries.login(company.host, { username: 'ada', password: 'lovelace' })
console.log(`logged in at the private registry as ${await engine.registries.user(company.host)}`)

const pushing = image.push(name)
for await (const event of pushing)
  if (event.type === 'item-done') console.log(`${event.item.slice(0, 19)} ${event.reused ? 'was there' : 'sent'}`)
const { digest } = await pushing

// Another root, as another machine would have; the login is stored, so that this engine finds it too.
await using other = await Engine.open({
  root: join(scratch.directory, 'other'),
  registries: { dockerConfig: join(scratch.directory, 'config.json') },
})
const pulled = await other.images.pull(`${company.host}/team/busybox@${digest}`)
assert.equal(pulled.id, image.id)
for await (const tag of other.images.tags(`${company.host}/team/busybox`)) console.log(`team/busybox has ${tag}`)
await other.reset()

// What lies in the mirror is pulled by its name of Docker Hub, and keeps that name.
await image.push(`${mirror.host}/library/tool:1`)
await image.remove({ force: true })
await using container = await engine.containers.run(
  { image: 'tool:1', command: ['echo', 'run from the mirror'], networks: 'none', onLog: (e) => console.log(e.text) },
  { pull: 'missing' },
)
assert.equal((await container.wait()).exitCode, 0)
assert((await (await engine.images.get('tool:1')).inspect()).names.includes('tool:1'))
