/**
 * The main job: from an image tarball to finished containers, in this process. `scripts/quickstart` runs it.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBusyboxTarball } from './support/busybox-image.ts'

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const result = await work()
  console.log(`${(performance.now() - started).toFixed(1).padStart(8)} ms  ${what}`)
  return result
}

const directory = await mkdtemp(join(tmpdir(), 'tscontainer-quickstart-'))
const tarball = join(directory, 'busybox.tar')
try {
  const { Engine } = await timed("import 'tscontainer'", () => import('tscontainer'))

  await timed("make an image tarball from this machine's busybox", () => writeBusyboxTarball(tarball))
  console.log(`             ${tarball}, ${((await stat(tarball)).size / 1e6).toFixed(1)} MB`)

  // Applications usually leave the root out: the default is /var/lib/tscontainer.
  await using engine = await timed('open the engine', () => Engine.open({ root: join(directory, 'root') }))
  const [image] = await timed('load the tarball', async () => engine.images.load(tarball))
  if (!image) throw new Error('the tarball held no image')
  console.log(`             ${image.id}`)

  const lines: string[] = []
  const hello = await timed('run a container on the default bridge', async () =>
    engine.containers.run({
      image,
      command: ['sh', '-c', 'echo "hello from $(hostname)"; ip -4 addr show eth0 | grep inet'],
      onLog: (entry) => lines.push(entry.text.trim()),
    }),
  )
  const status = await timed('wait for its end', () => hello.wait())
  console.log(`             exit code ${status.exitCode}: ${lines.join(' | ')}`)
  await timed('remove it', () => hello.remove())

  await timed('run /bin/true without a network, and remove it', async () => {
    const container = await engine.containers.run({ image, command: ['true'], networks: 'none' })
    await container.wait()
    await container.remove()
  })

  const sleeper = await engine.containers.run({ image, command: ['sleep', '60'], networks: 'none' })
  const uname = await timed('exec in a running container', () => sleeper.exec(['uname', '-sr']))
  console.log(`             ${uname.stdout.trim()}`)
  await timed('kill and remove it', () => sleeper.remove({ force: true }))

  await timed('run 20 containers at once, wait, remove', () =>
    Promise.all(
      Array.from({ length: 20 }, async () => {
        const container = await engine.containers.run({ image, command: ['true'], networks: 'none' })
        const { exitCode } = await container.wait()
        if (exitCode !== 0) throw new Error(`exit code ${exitCode}`)
        await container.remove()
      }),
    ),
  )
  await timed('save the image', async () => engine.images.save([image], join(directory, 'saved.tar')))
  // Applications keep their root, and with it its bridge on the host; this one is only shown.
  await timed('take everything back from the host', () => engine.reset())
} finally {
  await rm(directory, { recursive: true, force: true })
}
console.log('             nothing runs, nothing is left')
