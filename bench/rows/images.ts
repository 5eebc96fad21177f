import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Engine } from 'tscontainer'
import { quote } from '../bare-shell.ts'
import { makeDebianImage } from '../debian-image.ts'
import type { Result, RowGroup } from '../row.ts'
import type { Setting } from '../setting.ts'
import { interleave, timed } from '../statistics.ts'

const rounds = 5

/** Stores a layer under its digest and unpacks it, with the fsyncs that the engine makes: the blob, then the tree. */
function bareLoad(layer: string, into: string, compressed: boolean): string {
  const unpack = compressed ? 'gzip -dc | tee >(sha256sum >/dev/null) | tar -x --xattrs' : 'tar -x --xattrs'
  const pipeline = `tee ${quote(`${into}/blob`)} <${quote(layer)} | tee >(sha256sum >/dev/null) | ${unpack} -C ${quote(`${into}/tree`)}`
  return `mkdir -p ${quote(`${into}/tree`)} && ${pipeline} && sync ${quote(`${into}/blob`)} && sync -f ${quote(into)}`
}

async function load(setting: Setting, compression: 'plain' | 'gzip'): Promise<Result> {
  const { shell } = setting
  const image = await makeDebianImage(setting.scratch('debian'), compression)
  const into = join(setting.directory, 'bare-load')
  let size = `${Math.round(statSync(image.layer).size / 1e6)} MB`
  if (compression === 'gzip') size += ' compressed'
  const figures = await interleave(
    [
      {
        name: 'tscontainer',
        async once(round) {
          const root = join(setting.directory, `load-${compression}-${round}`)
          const engine = await Engine.open({ root })
          try {
            return await timed(async () => engine.images.load(image.archive))
          } finally {
            await engine[Symbol.asyncDispose]()
            await rm(root, { recursive: true })
          }
        },
      },
      {
        name: 'bare',
        async once() {
          const took = await shell.time(bareLoad(image.layer, into, compression === 'gzip'))
          await shell.time(`rm -rf ${quote(into)}`)
          return took
        },
      },
      ...setting.peers.map((peer) => ({
        name: peer.name,
        async once() {
          const took = await timed(() => peer.run('load', '-q', '-i', image.archive))
          peer.removeImage(image.reference)
          return took
        },
      })),
    ],
    rounds,
  )
  return {
    row: `load a Debian image, ${compression} layer (${size})`,
    unit: 'ms',
    figures,
    goal: { kind: 'ratio', max: 1.3 },
  }
}

async function saveAndExport(setting: Setting): Promise<readonly Result[]> {
  const { shell } = setting
  const image = await makeDebianImage(setting.scratch('debian'), 'plain')
  await using engine = await Engine.open({ root: join(setting.directory, 'save') })
  await engine.images.load(image.archive)
  const container = await engine.containers.create({ image: image.reference, command: ['true'], networks: 'none' })
  const target = join(setting.scratch('saved'), 'out.tar')
  const into = join(setting.directory, 'bare-save')
  await shell.time(bareLoad(image.layer, into, false))
  const bare = (source: string) => async () => {
    const took = await shell.time(`tar -cf ${quote(target)} --xattrs -C ${source} . && sync ${quote(target)}`)
    await rm(target)
    return took
  }
  const own = (work: () => PromiseLike<unknown>) => async () => {
    const took = await timed(async () => work())
    await rm(target)
    return took
  }
  try {
    const saving = await interleave(
      [
        { name: 'tscontainer', once: own(() => engine.images.save([image.reference], target)) },
        { name: 'bare', once: bare(`${quote(into)} --exclude ./tree`) },
      ],
      rounds,
    )
    const exporting = await interleave(
      [
        { name: 'tscontainer', once: own(() => container.exportRootfs(target)) },
        { name: 'bare', once: bare(quote(`${into}/tree`)) },
      ],
      rounds,
    )
    return [
      { row: 'save it', unit: 'ms', figures: saving, goal: { kind: 'ratio', max: 1.5 } },
      { row: 'export a container of it', unit: 'ms', figures: exporting, goal: { kind: 'ratio', max: 1.5 } },
    ]
  } finally {
    await container.remove()
    await shell.time(`rm -rf ${quote(into)}`)
  }
}

export const images: RowGroup = {
  name: 'images',
  measure: async (setting) => [
    await load(setting, 'plain'),
    await load(setting, 'gzip'),
    ...(await saveAndExport(setting)),
  ],
}
