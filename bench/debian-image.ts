import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { pack } from 'tar-stream'

export interface DebianImage {
  readonly reference: string
  /** As `docker save` writes it. */
  readonly archive: string
  /** Its only layer, as it lies in the archive. */
  readonly layer: string
}

const packagesOf = (priorities: RegExp): readonly string[] =>
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the format of dpkg-query
  execFileSync('dpkg-query', ['-W', '-f', '${Priority} ${Package}:${Architecture}\n'], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .filter((line) => priorities.test(line))
    .map((line) => line.split(' ')[1]!.replace(/:all$/, ''))

/** Files of this machine's own Debian: its required and important packages, and others until it weighs about 170 MB. */
function filesOfThisDebian(bytes: number): readonly string[] {
  const chosen = new Set<string>()
  let size = 0
  for (const name of [...packagesOf(/^(required|important) /), ...packagesOf(/^(standard|optional) /)]) {
    if (size >= bytes) break
    const listing = execFileSync('dpkg-query', ['-L', name], { encoding: 'utf8' }).trim().split('\n')
    for (const listed of listing) {
      // On a merged /usr, /sbin/ip is listed but lies in /usr/sbin.
      const path = existsSync(listed) ? join(realpathSync(dirname(listed)), basename(listed)) : listed
      if (chosen.has(path) || path === '/.' || !existsSync(path)) continue
      const facts = lstatSync(path)
      if (facts.size > bytes / 4) continue
      chosen.add(path)
      if (facts.isFile()) size += facts.size
    }
  }
  return [...chosen].sort().map((path) => path.slice(1))
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** Makes the image once per run and compression. */
export async function makeDebianImage(directory: string, compression: 'plain' | 'gzip'): Promise<DebianImage> {
  const reference = `tscontainer-bench:debian-${compression}`
  const archive = join(directory, `${compression}.tar`)
  const plain = join(directory, 'layer.tar')
  const layer = compression === 'gzip' ? `${plain}.gz` : plain
  if (existsSync(archive)) return { reference, archive, layer }
  if (!existsSync(plain)) {
    const list = join(directory, 'files')
    writeFileSync(list, `${filesOfThisDebian(170e6).join('\n')}\n`)
    execFileSync('tar', ['-C', '/', '--no-recursion', '--numeric-owner', '-T', list, '-cf', plain])
  }
  if (compression === 'gzip') execFileSync('sh', ['-c', `gzip -c '${plain}' >'${layer}'`])
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: ['bash'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${await digest(plain)}`] },
  })
  const tar = pack()
  const written = pipeline(tar, createWriteStream(archive))
  tar.entry({ name: 'config.json' }, config)
  await pipeline(createReadStream(layer), tar.entry({ name: 'layer.tar', size: statSync(layer).size }))
  tar.entry(
    { name: 'manifest.json' },
    JSON.stringify([{ Config: 'config.json', RepoTags: [reference], Layers: ['layer.tar'] }]),
  )
  tar.finalize()
  await written
  return { reference, archive, layer }
}
