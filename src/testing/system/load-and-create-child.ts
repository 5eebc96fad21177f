// Loads or pulls an image and makes a container of it, again and again, while another process prunes. Every container that was
// made must have its image and its files.
import { Engine, isEngineError } from '../../index.ts'

const [root = '', source = '', rounds = '1'] = process.argv.slice(2)
let [made, gone] = [0, 0]
{
  await using engine = await Engine.open({ root, registries: { dockerConfig: null } })
  for (let round = 0; round < Number(rounds); round++) {
    const image = source.startsWith('/') ? (await engine.images.load(source))[0]! : await engine.images.pull(source)
    try {
      await using container = await engine.containers.create({ image, networks: 'none', command: ['x'] })
      made++
      await new Promise((resolve) => setTimeout(resolve, 20))
      const facts = await image.inspect()
      if (facts.containers < 1) throw new Error(`the image of ${container.id} does not know it`)
      const files: string[] = []
      await container.exportRootfs(
        (await import('node:stream')).Writable.fromWeb(
          new WritableStream({ write: (chunk: Uint8Array) => void files.push(Buffer.from(chunk).toString('latin1')) }),
        ),
      )
      if (!files.join('').includes('raced')) throw new Error(`container ${container.id} lost its files`)
    } catch (error) {
      if (!isEngineError(error, { code: 'image.not_found' })) throw error
      gone++
    }
  }
}
process.stdout.write(JSON.stringify({ made, gone }))
