import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Container, ContainerSpec, Engine, Image } from '../../index.ts'
import { type RegistryServer, startRegistry } from '../../registry/registry-fixture.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'

let fixture: BusyboxRoot
let engine: Engine
let server: RegistryServer

beforeAll(async () => {
  fixture = await busyboxRoot()
  engine = await fixture.open()
  server = await startRegistry()
})
afterEach(async () => {
  for await (const container of engine.containers.list()) await container.remove({ force: true })
})
afterAll(async () => {
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** Runs a script in a new container to its end. */
async function ran(script: string, spec: Partial<ContainerSpec> = {}, on = engine): Promise<Container> {
  const command = ['sh', '-ec', script]
  const container = await on.containers.run({ image: imageName, command, networks: 'none', ...spec })
  expect(await container.wait()).toMatchObject({ exitCode: 0 })
  return container
}

async function textOf(container: Container): Promise<string[]> {
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines
}

/** Every file of a tree with what a layer carries of it. */
const treeOf = (directory: string): string =>
  execFileSync(
    'sh',
    [
      '-c',
      "find . -mindepth 1 -printf '%p %M %U %G %n %T@ %l\\n' | LC_ALL=C sort; find . -type f | LC_ALL=C sort | xargs sha256sum; getfattr -Rhd -m '^(user|security)' . 2>/dev/null",
    ],
    { cwd: directory, encoding: 'utf8', maxBuffer: 64 << 20 },
  )

/** The tree of an image, by a container that never ran. */
async function treeOfImage(image: Image, on = engine): Promise<string> {
  const container = await on.containers.create({ image, command: ['true'] })
  const directory = mkdtempSync(join(fixture.directory, 'tree-'))
  const file = `${directory}.tar`
  await container.exportRootfs(file)
  await container.remove()
  execFileSync('tar', ['-xpf', file, '--xattrs', '--xattrs-include=*', '--numeric-owner', '-C', directory])
  return treeOf(directory)
}

const shell = (line: string, ...args: string[]) =>
  execFileSync('bash', ['-euo', 'pipefail', '-c', line, 'bash', ...args], { encoding: 'utf8', maxBuffer: 64 << 20 })

const changes = `
  echo new > /new; ln /new /linked; ln -s /new /pointer; mkdir -p /deep/er; echo x > /deep/er/file; mkfifo /pipe
  rm /etc/group; rm -r /var; rm -r /root; mkdir /root; echo back > /root/again; chmod 4751 /new; chown 12:34 /deep/er
  touch -d '2001-02-03 04:05:06' /deep/er/file; rm /bin/ls; mkdir /bin/ls; seq 200000 > /numbers`

describe('other programs and a committed image', () => {
  let image: Image
  let tree: string
  beforeAll(async () => {
    image = await (await ran(changes)).commit({
      reference: `${server.host}/team/tool:1`,
      author: 'Jane',
      message: 'tool',
    })
    tree = await treeOfImage(image)
  })

  test.each(['docker-archive', 'oci-archive'] as const)('skopeo reads it from a %s', async (format) => {
    const file = join(fixture.directory, `${format}.tar`)
    await engine.images.save([image], file, { format })
    const config = JSON.parse(shell('skopeo inspect --config "$1:$2"', format, file))
    const { layers, history } = await image.inspect()
    expect(config.author).toBe('Jane')
    expect(config.rootfs.diff_ids).toEqual(layers.map(({ diffId }) => diffId))
    expect(config.history.at(-1).comment).toBe('tool')
    expect(config.history).toHaveLength(history.length)
  })

  test('umoci unpacks the same tree', async () => {
    const directory = join(fixture.directory, 'layout')
    await engine.images.save([image], directory, { format: 'oci-layout' })
    const tag = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')).manifests[0].annotations[
      'org.opencontainers.image.ref.name'
    ]
    shell('umoci unpack --image "$1:$2" "$3" >/dev/null', directory, tag, join(fixture.directory, 'bundle'))
    expect(treeOf(join(fixture.directory, 'bundle/rootfs'))).toBe(tree)
  })

  test('pushed and pulled back it is the same image; its new layer travels as gzip and is packed once', async () => {
    const pushed = await image.push()
    const manifest = JSON.parse(shell('skopeo inspect --raw --tls-verify=false "docker://$1"', pushed.name))
    expect(manifest.config.digest).toBe(image.id)
    for (const layer of manifest.layers) expect(layer.mediaType).toBe('application/vnd.oci.image.layer.v1.tar+gzip')
    shell(
      'skopeo copy --src-tls-verify=false "docker://$1" "dir:$2" >/dev/null',
      pushed.name,
      `${fixture.directory}/copy`,
    )
    // Known by what the registry calls it.
    expect((await engine.images.get(`${server.host}/team/tool@${pushed.digest}`)).id).toBe(image.id)
    const stages: string[] = []
    const again = image.push(`${server.host}/team/tool:1`)
    for await (const event of again) if (event.type === 'stage') stages.push(event.stage)
    expect(await again).toEqual(pushed)
    expect(stages).not.toContain('compress')

    await using other = await fixture.open({ root: join(fixture.directory, 'other') })
    const pulled = await other.images.pull(pushed.name)
    expect(pulled.id).toBe(image.id)
    expect(await treeOfImage(pulled, other)).toBe(tree)
    await other.reset()
  })

  test.each([
    ['zstd', 'application/vnd.oci.image.layer.v1.tar+zstd'],
    ['stored', 'application/vnd.oci.image.layer.v1.tar'],
  ] as const)('pushed as %s', async (compression, mediaType) => {
    // One of its own: the other has been packed by now.
    const own = await (await ran('echo own > /own')).commit()
    const name = `${server.host}/other/${compression}:1`
    const before = readdirSync(join(fixture.root, 'content/blobs/sha256'))
    const { digest } = await own.push(name, { compression })
    const manifest = JSON.parse(shell('skopeo inspect --raw --tls-verify=false "docker://$1"', name))
    expect(manifest.layers.map((layer: { mediaType: string }) => layer.mediaType)).toEqual([mediaType, mediaType])
    expect(manifest.config.digest).toBe(own.id)
    if (compression === 'stored') expect(digest).toBe((await own.inspect()).manifest)
    // It has no name there, so nothing is kept for it.
    expect(readdirSync(join(fixture.root, 'content/blobs/sha256'))).toEqual(before)
    await using other = await fixture.open({ root: join(fixture.directory, `other-${compression}`) })
    expect((await other.images.pull(name)).id).toBe(own.id)
    await other.reset()
  })

  test.each([
    ['estargz', { code: 'transfer.unsupported_compression' }],
    ['none', { code: 'call.bad_option' }],
  ])('pushed as %s it is refused', async (compression, error) => {
    const options = { compression } as unknown as { compression: 'gzip' }
    await expect(image.push(undefined, options)).rejects.toMatchObject(error)
  })
})

describe('squash', () => {
  let base: Image
  let image: Image
  beforeAll(async () => {
    base = await (await ran('echo secret > /secret; seq 100000 > /large; echo a > /kept; ln /kept /twin')).commit()
    const middle = await (await ran('rm /secret /large; echo b > /middle; rm -r /root', { image: base })).commit()
    const last = await ran('rm /middle; mkdir /root; echo c > /root/last; ln /root/last /root/same', { image: middle })
    image = await last.commit({ changes: ['CMD ["cat", "/root/last"]', 'LABEL a=b'], author: 'Jane' })
  })

  test('of all layers: one with the same tree, the configuration and the history', async () => {
    const created = new Date('2020-01-01T00:00:00Z')
    const squashed = await image.squash({ reference: 'squashed', created })
    const [before, now] = [await image.inspect(), await squashed.inspect()]
    expect(now.layers).toHaveLength(1)
    expect(now.config).toEqual(before.config)
    expect(now.author).toBe('Jane')
    expect(now.names).toEqual(['squashed:latest'])
    expect(await treeOfImage(squashed)).toBe(await treeOfImage(image))
    const blob = join(fixture.root, 'content/blobs/sha256', now.layers[0]!.digest.slice(7))
    const listing = shell('tar -tvf "$1"', blob)
    expect(listing).not.toMatch(/secret|large|middle|\.wh\./)
    expect(listing).toMatch(/same link to (\.\/)?root\/last/)
    const steps = (await squashed.inspect()).history
    expect(steps.slice(0, -1).map(({ created_by }) => created_by)).toEqual(
      before.history.map((step) => step.created_by),
    )
    expect(steps.filter((step) => !step.empty_layer)).toHaveLength(1)
    expect(steps.at(-1)).toMatchObject({ comment: `Squashed from ${image.id}`, created: created.toISOString() })
    // The same once more is the same image.
    expect((await image.squash({ created })).id).toBe(squashed.id)
    const container = await engine.containers.run({ image: squashed, networks: 'none' })
    await container.wait()
    expect(await textOf(container)).toEqual(['c'])
  })

  test('from a base on: its layers stay, the rest is one', async () => {
    const squashed = await image.squash({ from: base.id })
    const [below, now] = [await base.inspect(), await squashed.inspect()]
    expect(now.layers.slice(0, -1)).toEqual(below.layers)
    expect(now.layers).toHaveLength(below.layers.length + 1)
    expect(await treeOfImage(squashed)).toBe(await treeOfImage(image))
    const listing = shell(
      'tar -tf "$1"',
      join(fixture.root, 'content/blobs/sha256', now.layers.at(-1)!.digest.slice(7)),
    )
    expect(listing).toContain('.wh.secret')
    expect(listing).not.toContain('middle')
    // From itself on there is nothing to squash.
    const same = await image.squash({ from: image })
    expect((await same.inspect()).layers).toEqual((await image.inspect()).layers)
  })

  test('an image that is no base of it', async () => {
    const stranger = await (await ran('echo x > /stranger')).commit()
    await expect(image.squash({ from: stranger.id })).rejects.toMatchObject({ code: 'transfer.not_a_base' })
    await expect(base.squash({ from: image.id })).rejects.toMatchObject({ code: 'transfer.not_a_base' })
    await expect(image.squash({ from: 'no:where' })).rejects.toMatchObject({ code: 'image.not_found' })
  })

  test('pushed with zstd', async () => {
    const name = `${server.host}/squashed:zstd`
    await (await image.squash({ compression: 'zstd', reference: name })).push()
    const manifest = JSON.parse(shell('skopeo inspect --raw --tls-verify=false "docker://$1"', name))
    expect(manifest.layers[0].mediaType).toBe('application/vnd.oci.image.layer.v1.tar+zstd')
  })
})

test('exported and imported again: the same tree, with the configuration that was asked for', async () => {
  const container = await ran(changes)
  const file = join(fixture.directory, 'round-trip.tar')
  await container.exportRootfs(file)
  const image = await engine.images.importRootfs(file, {
    reference: 'round:trip',
    changes: ['CMD ["cat", "/new"]', 'ENV PATH=/bin'],
  })
  const again = await engine.containers.create({ image })
  const original = mkdtempSync(join(fixture.directory, 'original-'))
  shell('tar -xpf "$1" --xattrs --xattrs-include="*" --numeric-owner -C "$2"', file, original)
  expect(await treeOfImage(image)).toBe(treeOf(original))
  await again.start()
  await again.wait()
  expect(await textOf(again)).toEqual(['new'])
})

test('an editor is installed in a container, and the container becomes an image of a new repository', async () => {
  // What a package manager does: unpacks files, writes its records, runs a script.
  const source = mkdtempSync(join(fixture.directory, 'package-'))
  shell(
    `cd "$1"; mkdir -p usr/bin usr/share/editor etc/editor; printf '#!/bin/sh\\nexec vi "$@"\\n' >usr/bin/editor
     chmod 755 usr/bin/editor; for at in $(seq 200); do echo "syntax $at" >usr/share/editor/$at.syntax; done
     echo 'set tabs=2' >etc/editor/rc; tar -cf editor.tar usr etc`,
    source,
  )
  const container = await engine.containers.run({
    image: imageName,
    command: ['sleep', '1000'],
    networks: 'none',
    stopTimeout: 0,
    mounts: [`${source}:/packages:ro`],
  })
  const install =
    'tar -xf /packages/editor.tar -C / && mkdir -p /var/lib/packages && echo editor >/var/lib/packages/list'
  expect(await container.exec(['sh', '-ec', install])).toMatchObject({ exitCode: 0 })
  const image = await container.commit({
    reference: 'john/with-editor:v1',
    author: 'John',
    message: 'editor installed',
  })
  expect((await container.inspect()).status).toBe('running')
  expect((await image.inspect()).names).toEqual(['john/with-editor:v1'])
  const check =
    'cat /etc/editor/rc /var/lib/packages/list; ls /usr/share/editor | wc -l; test -x /usr/bin/editor; test ! -e /packages'
  expect(await textOf(await ran(check, { image: 'john/with-editor:v1' }))).toEqual(['set tabs=2', 'editor', '200'])
  expect(existsSync(join(source, 'editor.tar'))).toBe(true)
})

test('a layer that is lost before the first container needs it is told as that', async () => {
  const image = await (await ran('echo lost > /lost')).commit()
  const { digest } = (await image.inspect()).layers.at(-1)!
  rmSync(join(fixture.root, 'content/blobs/sha256', digest.slice('sha256:'.length)))
  await expect(engine.containers.create({ image })).rejects.toMatchObject({ code: 'content.damaged' })
  await image.remove()
})
