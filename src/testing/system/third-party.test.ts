import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { addTypeScript, makeConsumer, mustRun, packPackage, repository, run } from './packed-package.ts'

/** argv: root, tarball, socket. Prints what both drivers were seen to do. */
const application = `
import { createServer } from 'node:net'
import { Engine } from 'tscontainer'
import { copy } from 'tscontainer-storage-driver-copy'
import { ndjson } from 'tscontainer-log-driver-ndjson'
const [, , root, tarball, socket] = process.argv
let received = ''
const server = createServer((peer) => peer.setEncoding('utf8').on('data', (chunk) => { received += chunk }))
await new Promise((resolve) => server.listen(socket, resolve))
const engine = await Engine.open({ root, drivers: [copy, ndjson], storage: { driver: 'copy', options: { reflink: 'never' } } })
const [image] = await engine.images.load(tarball)
const container = await engine.containers.run({
  image, networks: 'none', command: ['sh', '-c', 'echo from the container > /f; cat /f'],
  log: { driver: 'ndjson', options: { socket } },
})
const { exitCode } = await container.wait()
await container.remove()
const refused = await Engine.open({ root: root + '-2', drivers: [{ ...copy, kit: '^99.0.0' }], storage: { driver: 'copy' } })
  .catch((error) => error.kind)
await engine[Symbol.asyncDispose]()
server.close()
console.log(JSON.stringify({ exitCode, texts: received.trim().split('\\n').map((line) => JSON.parse(line).text), refused }))
`

const packages = ['storage-driver-copy', 'log-driver-ndjson']
let directory: string
let consumer: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tscontainer-third-party-'))
  consumer = join(directory, 'consumer')
  await makeConsumer(consumer, await packPackage(directory))
  await addTypeScript(consumer)
  // As in a workspace: the packages lie in the project and find tscontainer in its node_modules.
  for (const name of packages)
    await cp(join(repository, 'examples/packages', name), join(consumer, 'packages', name), { recursive: true })
})

afterAll(() => rm(directory, { recursive: true, force: true }))

describe('packages of third parties', () => {
  test.each(packages)('%s builds against the packed package, and passes its own tests', async (name) => {
    const home = join(consumer, 'packages', name)
    const built = await run(process.execPath, [join(consumer, 'node_modules/typescript/bin/tsc'), '-p', '.'], home)
    expect(built.stdout).toBe('')
    const files = (await mustRun('find', ['test', '-name', '*.test.ts'], home)).trim().split('\n')
    const tested = await run(process.execPath, ['--test', ...files], home)
    expect(tested.code, `${tested.stdout}\n${tested.stderr}`).toBe(0)
    expect(tested.stdout).toMatch(/pass [1-9]/)
    const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { readonly name: string }
    await cp(home, join(consumer, 'node_modules', manifest.name), { recursive: true })
  })

  test('both serve an engine', async () => {
    const image = join(directory, 'busybox.tar')
    await writeBusyboxTarball(image)
    await writeFile(join(consumer, 'application.js'), application)
    const args = [join(directory, 'root'), image, join(directory, 'collector.sock')]
    const output = await mustRun(process.execPath, ['application.js', ...args], consumer)
    expect(JSON.parse(output)).toEqual({ exitCode: 0, texts: ['from the container'], refused: 'unsupported' })
  })
})
