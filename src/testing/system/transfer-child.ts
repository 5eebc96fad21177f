// Pulls an image into a root, or pushes one out of it, and tells every event; for tests that count, wait or kill it.
import { Engine } from '../../index.ts'

const [verb, root, reference, target] = process.argv.slice(2) as [string, string, string, string | undefined]
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
await using engine = await Engine.open({ root, registries: { dockerConfig: null }, diagnostics: () => {} })
const image = verb === 'push' ? await engine.images.get(reference) : null
say({ type: 'ready' })
const transfer = image ? image.push(target) : engine.images.pull(reference)
for await (const event of transfer) say(event)
const result = await transfer
say({ type: 'done', id: 'id' in result ? result.id : result.digest })
