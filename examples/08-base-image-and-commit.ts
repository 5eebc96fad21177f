/** A base image from a directory of the host, an image of what a container changed, and one layer of several. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Engine, type Image } from 'tscontainer'
import { busybox } from './support/busybox-image.ts'
import { makeScratch } from './support/scratch.ts'

await using scratch = await makeScratch()
await using engine = await Engine.open({ root: scratch.root })

// The root file system. `debootstrap --variant=minbase bookworm rootfs` makes a larger one.
const rootfs = join(scratch.directory, 'rootfs')
const { program, libraries } = busybox()
for (const directory of ['bin', 'etc', 'usr/share/locale/de']) await mkdir(join(rootfs, directory), { recursive: true })
for (const [from, to] of [[program, '/bin/busybox'] as const, ...libraries.map((file) => [file, file] as const)]) {
  await mkdir(dirname(join(rootfs, to)), { recursive: true })
  await cp(from, join(rootfs, to), { dereference: true })
}
for (const applet of ['sh', 'cat', 'echo', 'ls', 'rm', 'seq']) await symlink('busybox', join(rootfs, 'bin', applet))
await writeFile(join(rootfs, 'usr/share/locale/de/messages'), 'nobody needs this in a container\n')

// What no container needs goes: translations here, with Debian also /usr/share/doc, /var/cache/apt, /var/lib/apt/lists.
await rm(join(rootfs, 'usr/share/locale'), { recursive: true })

// Owners as numbers: names of this machine mean nothing in the image.
const tar = spawn('tar', ['--numeric-owner', '-C', rootfs, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
const ended = once(tar, 'close')
const base = await engine.images.importRootfs(tar.stdout, {
  reference: 'team/base:1',
  changes: ['ENV PATH=/bin', 'CMD ["sh"]', 'LABEL maintainer=team'],
  message: 'from a directory of the host',
})
assert.deepEqual(await ended, [0, null])
console.log(`base image of ${(await base.inspect()).unpackedSize} bytes`)

/** Runs a script in a new container and makes an image of what it left. */
async function change(image: Image, script: string, reference: string): Promise<Image> {
  await using container = await engine.containers.run({ image, command: ['sh', '-ec', script], networks: 'none' })
  assert.equal((await container.wait()).exitCode, 0)
  for await (const { kind, path } of container.diff()) console.log(`${reference}: ${kind} ${path}`)
  return await container.commit({ reference, author: 'Ada', message: script, changes: ['CMD ["cat", "/etc/motd"]'] })
}
const first = await change(base, 'seq 100000 > /big; echo hello > /etc/motd', 'team/app:1')
const second = await change(first, 'rm /big', 'team/app:2')

// The deleted file is still in the layer below. One layer of all, or one above the base that others share:
const flat = await second.squash({ reference: 'team/app:flat' })
const slim = await second.squash({ reference: 'team/app:slim', from: 'team/base:1' })
for (const image of [second, flat, slim]) {
  const { repoTags, layers, unpackedSize } = await image.inspect()
  console.log(`${repoTags[0]}: ${layers.length} layers, ${unpackedSize} bytes`)
}
assert.equal((await flat.inspect()).layers.length, 1)
assert.equal((await slim.inspect()).layers[0]?.digest, (await base.inspect()).layers[0]?.digest)

// Unlike after an export and an import, the configuration is still there.
const lines: string[] = []
await using container = await engine.containers.run({ image: flat, networks: 'none', onLog: (e) => lines.push(e.text) })
await container.wait()
assert.deepEqual(lines, ['hello'])

// As a file for another machine, its layers packed on the way.
await engine.images.save([slim], join(scratch.directory, 'app.tar'), { format: 'oci-archive', compression: 'zstd' })
