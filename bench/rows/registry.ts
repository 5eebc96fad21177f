import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Engine } from 'tscontainer'
import { type RegistryServer, startRegistry } from '../../src/registry/registry-fixture.ts'
import { quote } from '../bare-shell.ts'
import { makeDebianImage } from '../debian-image.ts'
import { writeLayeredArchive } from '../layered-image.ts'
import type { Peer } from '../peers.ts'
import type { Result, RowGroup } from '../row.ts'
import type { Setting } from '../setting.ts'
import { interleave, timed } from '../statistics.ts'

const rounds = 5

const open = (root: string) => Engine.open({ root, registries: { dockerConfig: null } })

interface Published {
  readonly reference: string
  readonly layers: readonly string[]
}

/** Loads an archive and pushes it: its layers arrive as they are. */
async function publish(setting: Setting, server: RegistryServer, archive: string, name: string): Promise<Published> {
  const root = join(setting.directory, 'publish')
  try {
    await using engine = await open(root)
    const [image] = await engine.images.load(archive)
    if (!image) throw new Error('the archive held no image')
    const reference = `${server.host}/${name}`
    await image.push(reference)
    return { reference, layers: (await image.inspect()).layers.map(({ digest }) => digest) }
  } finally {
    await rm(root, { recursive: true })
  }
}

/** What the tools do one after the other for each layer, with the fsyncs that the engine makes. */
function barePull(server: RegistryServer, name: string, layers: readonly string[], into: string): string {
  const fetch = layers.map((digest, at) => {
    const url = `http://${server.host}/v2/${name}/blobs/${digest}`
    const unpack = `gzip -dc | tee >(sha256sum >/dev/null) | tar -x --xattrs -C ${quote(`${into}/${at}`)}`
    return `mkdir -p ${quote(`${into}/${at}`)} && curl -sf ${quote(url)} | tee ${quote(`${into}/blob${at}`)} | tee >(sha256sum >/dev/null) | ${unpack} && sync ${quote(`${into}/blob${at}`)}`
  })
  return `${fetch.join(' && ')} && sync -f ${quote(into)}`
}

/** Podman does not take plain HTTP on loopback for granted, as Docker does. */
const insecure = (peer: Peer) => (peer.name === 'podman' ? ['--tls-verify=false'] : [])

async function pull(setting: Setting, server: RegistryServer, image: Published, name: string, row: string) {
  const { shell } = setting
  const into = join(setting.directory, 'bare-pull')
  const figures = await interleave(
    [
      {
        name: 'tscontainer',
        async once(round) {
          const root = join(setting.directory, `pull-${name}-${round}`)
          const engine = await open(root)
          try {
            return await timed(async () => engine.images.pull(image.reference))
          } finally {
            await engine[Symbol.asyncDispose]()
            await rm(root, { recursive: true })
          }
        },
      },
      {
        name: 'bare',
        async once() {
          const took = await shell.time(barePull(server, name, image.layers, into))
          await shell.time(`rm -rf ${quote(into)}`)
          return took
        },
      },
      ...setting.peers.map((peer) => ({
        name: peer.name,
        async once() {
          const took = await timed(() => peer.run('pull', '-q', ...insecure(peer), image.reference))
          peer.removeImage(image.reference)
          return took
        },
      })),
    ],
    rounds,
  )
  return { row, unit: 'ms', figures, goal: { kind: 'ratio', max: 1.2 } } satisfies Result
}

async function presentAndPush(setting: Setting, image: Published): Promise<readonly Result[]> {
  await using engine = await open(join(setting.directory, 'push'))
  const pulled = await engine.images.pull(image.reference)
  for (const peer of setting.peers) await peer.run('pull', '-q', ...insecure(peer), image.reference)
  try {
    const present = await interleave(
      [
        { name: 'tscontainer', once: () => timed(async () => engine.images.pull(image.reference)) },
        ...setting.peers.map((peer) => ({
          name: peer.name,
          once: () => timed(() => peer.run('pull', '-q', ...insecure(peer), image.reference)),
        })),
      ],
      setting.rounds,
    )
    // An empty registry each time: nothing is there, and nothing can be taken over.
    const toEmpty = async (push: (target: string) => Promise<unknown>) => {
      await using server = await startRegistry()
      return await timed(() => push(`${server.host}/debian:pushed`))
    }
    const pushing = await interleave(
      [
        { name: 'tscontainer', once: () => toEmpty(async (target) => pulled.push(target)) },
        ...setting.peers.map((peer) => ({
          name: peer.name,
          once: () =>
            toEmpty(async (target) => {
              await peer.run('tag', image.reference, target)
              await peer.run('push', '-q', ...insecure(peer), target)
              peer.removeImage(target)
            }),
        })),
      ],
      rounds,
    )
    return [
      { row: 'pull it when it is here', unit: 'ms', figures: present, goal: { kind: 'absolute', max: 12 } },
      { row: 'push it as it was pulled', unit: 'ms', figures: pushing, goal: { kind: 'absolute', max: 600 } },
    ]
  } finally {
    for (const peer of setting.peers) peer.removeImage(image.reference)
  }
}

export const registry: RowGroup = {
  name: 'registry',
  async measure(setting) {
    const directory = setting.scratch('debian')
    const debian = await makeDebianImage(directory, 'gzip')
    const layered = await writeLayeredArchive(directory, join(directory, 'layer.tar'), 'tscontainer-bench:layered')
    await using server = await startRegistry()
    const one = await publish(setting, server, debian.archive, 'debian')
    const ten = await publish(setting, server, layered, 'layered')
    return [
      await pull(setting, server, one, 'debian', 'pull a Debian image (170 MB, gzip)'),
      await pull(setting, server, ten, 'layered', 'pull ten layers of 20 MB'),
      ...(await presentAndPush(setting, one)),
    ]
  },
}
