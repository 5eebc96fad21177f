import { createHash } from 'node:crypto'
import { createWriteStream, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Writes an image of ten layers, 20 MB unpacked each, as `docker save` would: files with bytes of `source`. */
export async function writeLayeredArchive(directory: string, source: string, reference: string): Promise<string> {
  const archive = join(directory, 'layered.tar')
  const tar = pack()
  const written = pipeline(tar, createWriteStream(archive))
  const fd = openSync(source, 'r')
  const diffIds: string[] = []
  const names: string[] = []
  for (let layer = 0; layer < 10; layer++) {
    const inner = pack()
    const bytes = buffer(inner)
    for (let file = 0; file < 80; file++) {
      const body = Buffer.alloc(250_000)
      readSync(fd, body, 0, body.length, 1e6 + (layer * 80 + file) * 190_000)
      inner.entry({ name: `layer-${layer}/${file}`, mode: 0o644, mtime: new Date(0) }, body)
    }
    inner.finalize()
    const plain = await bytes
    diffIds.push(`sha256:${sha256(plain)}`)
    names.push(`${layer}.tar.gz`)
    tar.entry({ name: `${layer}.tar.gz` }, gzipSync(plain, { level: 6 }))
  }
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: ['bash'] },
    rootfs: { type: 'layers', diff_ids: diffIds },
  })
  tar.entry({ name: 'config.json' }, config)
  tar.entry(
    { name: 'manifest.json' },
    JSON.stringify([{ Config: 'config.json', RepoTags: [reference], Layers: names }]),
  )
  tar.finalize()
  await written
  return archive
}
