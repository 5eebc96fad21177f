import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Engine } from 'tscontainer'
import { quote } from '../bare-shell.ts'
import { makeDebianImage } from '../debian-image.ts'
import type { Goal, Result, RowGroup } from '../row.ts'
import type { Setting } from '../setting.ts'
import { type Contestant, interleave, timed } from '../statistics.ts'

const rounds = 15

/** What is changed in a container of the Debian image, and the row's goal. */
const changes = [
  { row: 'commit a container with 1 changed file', script: 'echo changed >/etc/motd', max: 1.62 },
  {
    row: 'commit a container with 2,000 new files',
    script: '/busybox mkdir /new; for at in $(/busybox seq 2000); do printf "%04000d" $at >/new/$at; done',
    max: 1.14,
  },
] as const

/** The image is files without the libraries that would run them, so a program of the host's makes the changes. */
const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))
const mount = `${busybox}:/busybox:ro`

/** The container's own files, wherever the storage driver keeps them. */
function upperDirectory(root: string, id: string): string {
  for (const driver of readdirSync(join(root, 'storage'))) {
    const directory = join(root, 'storage', driver, 'drafts', id, 'diff')
    if (existsSync(directory)) return directory
  }
  throw new Error('the storage driver keeps no directory of changes')
}

const absolute = (max: number): Goal => ({ kind: 'absolute', max })

async function commits(setting: Setting): Promise<readonly Result[]> {
  const { shell } = setting
  const image = await makeDebianImage(setting.scratch('debian'), 'plain')
  const root = join(setting.directory, 'commit')
  await using engine = await Engine.open({ root })
  await engine.images.load(image.archive)
  for (const peer of setting.peers) peer.load(image.archive)
  const results: Result[] = []
  const cleanUp: (() => void)[] = []
  try {
    for (const { row, script, max } of changes) {
      const command = ['/busybox', 'sh', '-c', script]
      await using container = await engine.containers.run({
        image: image.reference,
        command,
        networks: 'none',
        mounts: [mount],
      })
      const { exitCode } = await container.wait()
      if (exitCode !== 0) throw new Error(`the changes ended with ${exitCode}`)
      const upper = upperDirectory(root, container.id)
      const tar = quote(join(setting.directory, 'commit.tar'))
      const contestants: Contestant[] = [
        {
          name: 'tscontainer',
          async once(round) {
            // Another time each round, so that it is another image.
            const created = new Date(round * 1000)
            let made: Awaited<ReturnType<typeof container.commit>> | null = null
            const took = await timed(async () => {
              made = await container.commit({ created })
            })
            await made!.remove()
            return took
          },
        },
        {
          name: 'bare',
          once: () => shell.time(`tar --xattrs -cf ${tar} -C ${quote(upper)} . && sha256sum ${tar} && sync ${tar}`),
        },
        ...setting.peers.map((peer): Contestant => {
          const id = peer.output('create', '--network', 'none', image.reference, 'true')
          peer.output('cp', `${upper}/.`, `${id}:/`)
          cleanUp.push(() => peer.remove(id))
          return {
            name: peer.name,
            async once() {
              let made = ''
              const took = await timed(async () => {
                made = peer.output('commit', '-q', id)
              })
              peer.output('rmi', '-f', made)
              return took
            },
          }
        }),
      ]
      const figures = await interleave(contestants, rounds)
      results.push({ row, unit: 'ms', figures, goal: { kind: 'ratio', max } })
    }
    return results
  } finally {
    for (const remove of cleanUp) remove()
    for (const peer of setting.peers) peer.removeImage(image.reference)
  }
}

async function removal(setting: Setting): Promise<Result> {
  const { shell } = setting
  const image = await makeDebianImage(setting.scratch('debian'), 'plain')
  await using engine = await Engine.open({ root: join(setting.directory, 'remove') })
  const into = quote(join(setting.directory, 'bare-remove'))
  const figures = await interleave(
    [
      {
        name: 'tscontainer',
        async once() {
          const [loaded] = await engine.images.load(image.archive)
          return timed(() => loaded!.remove())
        },
      },
      {
        name: 'bare',
        async once() {
          await shell.time(`mkdir ${into} && tar -x --xattrs -C ${into} <${quote(image.layer)}`)
          return shell.time(`rm -rf ${into}`)
        },
      },
    ],
    3,
  )
  return { row: 'remove the Debian image', unit: 'ms', figures, goal: absolute(200) }
}

export const commit: RowGroup = {
  name: 'commit',
  measure: async (setting) => [...(await commits(setting)), await removal(setting)],
}
