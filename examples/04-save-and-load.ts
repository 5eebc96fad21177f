/** Images in and out: what was loaded is saved digest for digest, and a container's file system becomes an image. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Engine } from 'tscontainer'
import { makeScratch } from './support/scratch.ts'

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

await using scratch = await makeScratch()
await using engine = await Engine.open({ root: scratch.root })

const loading = engine.images.load(scratch.tarball)
for await (const event of loading) if (event.type === 'stage') console.log(`load: ${event.stage}`)
const [image] = await loading
assert(image)
await image.tag('busybox:copy')

// Two saves are byte for byte the same.
const [first, second] = [join(scratch.directory, 'first.tar'), join(scratch.directory, 'second.tar')]
await engine.images.save(['busybox:local', 'busybox:copy'], first, { format: 'oci-archive' })
await engine.images.save(['busybox:local', 'busybox:copy'], second, { format: 'oci-archive' })
assert.equal(await sha256(first), await sha256(second))

// A second engine, with a root of its own in this same process, gets the same image id from it.
await using other = await Engine.open({ root: join(scratch.directory, 'other') })
const [again] = await other.images.load(createReadStream(first))
assert.equal(again?.id, image.id)
console.log(`the image id is kept: ${image.id}`)

// A container's file system as a tarball, and back in as an image of one layer.
await using container = await engine.containers.run({
  image,
  command: ['sh', '-c', 'echo "written by a container" > /note'],
  networks: 'none',
})
await container.wait()
const rootfs = join(scratch.directory, 'rootfs.tar')
await container.exportRootfs(rootfs)
const imported = await engine.images.importRootfs(rootfs, { reference: 'noted:1', changes: ['CMD ["cat", "/note"]'] })

const lines: string[] = []
await using reader = await engine.containers.run({
  image: imported,
  networks: 'none',
  onLog: (e) => lines.push(e.text),
})
await reader.wait()
assert.deepEqual(lines, ['written by a container'])
console.log(`imported image says: ${lines[0]}`)
