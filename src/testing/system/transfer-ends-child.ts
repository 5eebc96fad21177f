// The built package: it is what runs at users'.
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { Engine } from 'tscontainer'

// Ends while it moves an image or a root file system in or out. Arguments: root, the call, the path it is given, and how
// it ends: `exit`, `throw`, or `abort` and then by itself; as soon as something is being written beside the path, or, for
// a FIFO, after half a second. The image is one that no pipe takes whole.
const [root = '', call = '', path = '', end = 'exit', image = ''] = process.argv.slice(2)

const engine = await Engine.open({ root, diagnostics: () => {} })
const controller = new AbortController()
const { signal } = controller

function finish(): void {
  if (end === 'exit') process.exit(7)
  if (end === 'throw') throw new Error('not caught')
  controller.abort()
}

const isDraft = (name: string) => name.endsWith('.partial')

function finishAtDraft(): void {
  if (readdirSync(dirname(path)).some(isDraft)) finish()
  else setImmediate(finishAtDraft)
}

async function move(): Promise<void> {
  await using container = await engine.containers.create({ image, command: ['true'], networks: 'none' })
  if (path.endsWith('fifo')) setTimeout(finish, 500)
  else setImmediate(finishAtDraft)
  if (call === 'load') await engine.images.load(path, { signal })
  else if (call === 'import') await engine.images.importRootfs(path, { signal })
  else if (call === 'save') await engine.images.save([image], path, { signal })
  else if (call === 'save-layout') await engine.images.save([image], path, { format: 'oci-layout', signal })
  else await container.exportRootfs(path, { signal })
}

await move().catch((error: Error) => process.stdout.write(error.name))
await engine[Symbol.asyncDispose]()
