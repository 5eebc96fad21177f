import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, readFileSync, realpathSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** The machine's own busybox, and the libraries it needs when it is not a static one. */
export function busybox(): { readonly program: string; readonly libraries: readonly string[] } {
  const program = ['/bin/busybox', '/usr/bin/busybox', '/usr/local/bin/busybox'].find((path) => existsSync(path))
  if (!program) throw new Error('no busybox on this machine: apt-get install busybox-static')
  try {
    const listing = execFileSync('ldd', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return { program, libraries: [...listing.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1]!) }
  } catch {
    return { program, libraries: [] }
  }
}

function addDirectory(layer: Pack, name: string, mode = 0o755): void {
  layer.entry({ name: `${name}/`, type: 'directory', mode, mtime: new Date(0) })
}

function addFile(layer: Pack, name: string, content: string | Buffer, mode = 0o644): void {
  layer.entry({ name, mode, mtime: new Date(0) }, Buffer.from(content))
}

async function rootFileSystem(): Promise<Buffer> {
  const { program, libraries } = busybox()
  const layer = pack()
  const bytes = buffer(layer)
  for (const name of ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'var']) addDirectory(layer, name)
  addDirectory(layer, 'tmp', 0o1777)
  addFile(layer, 'etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n')
  addFile(layer, 'etc/group', 'root:x:0:\nnogroup:x:65534:\n')
  for (const library of libraries) addFile(layer, library.slice(1), readFileSync(realpathSync(library)), 0o755)
  addFile(layer, 'bin/busybox', readFileSync(realpathSync(program)), 0o755)
  for (const applet of execFileSync(program, ['--list'], { encoding: 'utf8' }).trim().split('\n'))
    if (applet !== 'busybox')
      layer.entry({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox', mtime: new Date(0) })
  layer.finalize()
  return bytes
}

/** Writes an image tarball as `docker save` writes it: a manifest, a configuration and one layer. */
export async function writeBusyboxTarball(file: string, reference = 'busybox:local'): Promise<void> {
  const layer = await rootFileSystem()
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin:/sbin:/usr/bin'], Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'busybox of this machine' }],
  })
  const configName = `${sha256(Buffer.from(config))}.json`
  const layerName = `${sha256(layer)}/layer.tar`
  const archive = pack()
  archive.entry({ name: configName }, config)
  archive.entry({ name: layerName }, layer)
  archive.entry(
    { name: 'manifest.json' },
    JSON.stringify([{ Config: configName, RepoTags: [reference], Layers: [layerName] }]),
  )
  archive.finalize()
  await pipeline(archive, createWriteStream(file))
}
