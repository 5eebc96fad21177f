import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { CommitOptions, Container, ContainerSpec, Engine, Image, TreeChange } from '../../index.ts'
import { type BusyboxRoot, busyboxRoot, imageName } from './busybox-engine.ts'
import { waitFor } from './detached-client.ts'

let fixture: BusyboxRoot
let engine: Engine

beforeAll(async () => {
  fixture = await busyboxRoot()
  engine = await fixture.open()
})
afterEach(async () => {
  for await (const container of engine.containers.list()) await container.remove({ force: true })
})
afterAll(async () => {
  await engine[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const run = (command: readonly string[], spec: Partial<ContainerSpec> = {}) =>
  engine.containers.run({ image: imageName, command, networks: 'none', stopTimeout: 0, ...spec })

/** Runs a script in a new container to its end. */
async function finished(script: string, spec: Partial<ContainerSpec> = {}): Promise<Container> {
  const container = await run(['sh', '-ec', script], spec)
  const { exitCode } = await container.wait()
  if (exitCode !== 0) throw new Error((await textOf(container)).join('\n'))
  return container
}

/** Does the same and goes on. */
async function during(script: string, spec: Partial<ContainerSpec> = {}): Promise<Container> {
  const container = await run(['sh', '-ec', `${script}\nmkdir /tmp/done; exec sleep 1000`], spec)
  await container.exec(['sh', '-c', 'until test -d /tmp/done; do usleep 1000; done; rmdir /tmp/done'])
  return container
}

async function textOf(container: Container): Promise<string[]> {
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines
}

async function diffOf(container: Container): Promise<string[]> {
  const letters = { added: 'A', modified: 'C', deleted: 'D' } satisfies Record<TreeChange['kind'], string>
  const changes: string[] = []
  for await (const { kind, path } of container.diff()) changes.push(`${letters[kind]} ${path}`)
  return changes
}

/** What a program in a container of the image says. */
async function saidIn(image: Image | string, script: string): Promise<string[]> {
  const container = await finished(script, { image })
  const lines = await textOf(container)
  await container.remove()
  return lines
}

let exported = 0
/** Every file of a container's root with all that a tar says of it; not what was made to mount upon. */
async function treeOf(container: Container): Promise<string> {
  const directory = mkdtempSync(join(fixture.directory, 'tree-'))
  const file = join(fixture.directory, `export-${exported++}.tar`)
  await container.exportRootfs(file)
  execFileSync('tar', ['-xpf', file, '--xattrs', '--xattrs-include=*', '--numeric-owner', '-C', directory])
  return describeTree(directory)
}

const describeTree = (directory: string): string =>
  execFileSync(
    'sh',
    [
      '-c',
      `find . -mindepth 1 \\( -path ./etc/hosts -o -path ./etc/hostname -o -path ./etc/resolv.conf -o -path './dev/*' -o -path './proc/*' -o -path './sys/*' -o -path ./etc -o -path ./dev \\) -o -printf '%p %M %U %G %n %T@ %l\\n' | LC_ALL=C sort; find . -type f ! -path ./etc/hosts ! -path ./etc/hostname ! -path ./etc/resolv.conf | LC_ALL=C sort | xargs sha256sum; getfattr -Rhd -m - . 2>/dev/null`,
    ],
    { cwd: directory, encoding: 'utf8', maxBuffer: 64 << 20 },
  )

const everything = `
  echo new > /new; mkdir -p /deep/er/est; echo x > /deep/er/est/file
  echo more >> /etc/passwd; rm /etc/group; rm -r /var; mkdir /root/empty
  ln /new /linked; ln -s /nowhere /pointer; mkfifo /pipe; mknod /device c 1 3
  chmod 4750 /new; chown 1234:5678 /deep/er; touch -d '2001-02-03 04:05:06' /deep/er/est/file
  rm -r /root; mkdir /root; echo back > /root/again; rm /bin/ls; mkdir /bin/ls; : > /zero`

const changesOfEverything = [
  'C /bin',
  'C /bin/ls',
  'A /deep',
  'A /deep/er',
  'A /deep/er/est',
  'A /deep/er/est/file',
  'A /device',
  'C /etc',
  'D /etc/group',
  'C /etc/passwd',
  'A /linked',
  'A /new',
  'A /pipe',
  'A /pointer',
  'C /root',
  'A /root/again',
  'D /var',
  'A /zero',
]

describe('diff', () => {
  test('of a stopped container', async () => {
    expect(await diffOf(await finished(everything))).toEqual(changesOfEverything)
  })

  test('of a running one', async () => {
    const container = await during(everything)
    expect((await diffOf(container)).filter((line) => line !== 'C /tmp')).toEqual(changesOfEverything)
    await container.pause()
    expect((await diffOf(container)).filter((line) => line !== 'C /tmp')).toEqual(changesOfEverything)
    await container.unpause()
  })

  test('one that never ran and one that wrote nothing have changed nothing', async () => {
    expect(await diffOf(await engine.containers.create({ image: imageName, command: ['true'] }))).toEqual([])
    expect(await diffOf(await finished('true', { networks: ['bridge'] }))).toEqual([])
  })

  test('what was made only to mount upon it is no change; what is beside it is', async () => {
    const source = join(fixture.directory, 'source')
    mkdirSync(source, { recursive: true })
    const mounts = [
      `${source}:/made/for/it`,
      `${source}:/var/bound`,
      '/etc/os-release:/opt/release:ro',
      { type: 'tmpfs', target: '/cache' } as const,
    ]
    const quiet = await finished('echo x > /made/for/it/file; echo y > /cache/y', { mounts })
    expect(await diffOf(quiet)).toEqual([])
    const beside = await finished('echo x > /made/for/other; chmod 700 /var', { mounts })
    expect(await diffOf(beside)).toEqual(['A /made', 'A /made/for', 'A /made/for/other', 'C /var'])
    const image = await beside.commit()
    // busybox has no /made, /opt and /cache: only what was written is there.
    expect(await saidIn(image, 'find /made; ls -d /opt /cache 2>/dev/null || echo none')).toEqual([
      '/made',
      '/made/for',
      '/made/for/other',
      'none',
    ])
  })

  test('of a container that is gone', async () => {
    const container = await finished('true')
    await container.remove()
    await expect(diffOf(container)).rejects.toMatchObject({ code: 'container.not_found' })
  })
})

describe('commit', () => {
  test.each([
    ['stopped', finished],
    ['running', during],
  ] as const)('of a %s container: a container of the image has the same tree', async (_, make) => {
    const container = await make(everything)
    const image = await container.commit({ reference: 'committed:everything' })
    const copy = await engine.containers.create({ image, command: ['true'] })
    await container.stop()
    expect(await treeOf(copy)).toBe(await treeOf(container))
    expect(await diffOf(copy)).toEqual([])
    expect((await image.inspect()).names).toEqual(['committed:everything'])
  })

  test('keeps the layers below by digest, and is one of its own', async () => {
    const container = await finished('echo x > /x')
    const image = await container.commit()
    const base = await (await engine.images.get(imageName)).inspect()
    const { layers, names, id } = await image.inspect()
    expect(layers.slice(0, -1)).toEqual(base.layers)
    expect(layers).toHaveLength(base.layers.length + 1)
    expect(names).toEqual([])
    expect(id).not.toBe(base.id)
    // Of a container of it there can be one more.
    const next = await (await finished('rm /x; echo y > /y', { image })).commit()
    expect((await next.inspect()).layers.slice(0, -1)).toEqual(layers)
    expect(await saidIn(next, 'ls /x /y 2>&1 || true')).toEqual(['ls: /x: No such file or directory', '/y'])
  })

  test('author, message, time and name stand in configuration and history', async () => {
    const container = await finished('echo x > /x')
    const created = new Date('2020-01-02T03:04:05Z')
    const options = { author: 'Jane <jane@example.org>', message: 'with x', created, reference: 'team/tool:1' }
    const image = await container.commit(options)
    const facts = await image.inspect()
    expect(facts).toMatchObject({
      author: options.author,
      created: created.toISOString(),
      names: ['team/tool:1'],
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    })
    expect(facts.history.at(0)).toMatchObject({ created_by: 'busybox of this machine' })
    expect(facts.history.slice(1)).toEqual([
      {
        created: created.toISOString(),
        created_by: 'sh -ec echo x > /x',
        author: options.author,
        comment: 'with x',
      },
    ])
    // The same tree at the same time is the same image.
    expect((await container.commit({ ...options, reference: 'other' })).id).toBe(image.id)
    expect((await container.commit()).id).not.toBe(image.id)
  })

  test("the container's configuration becomes the image's, with changes and labels", async () => {
    const container = await engine.containers.create({
      image: imageName,
      entrypoint: ['sh', '-c'],
      command: ['echo "$GREETING $0" "$@"', 'world'],
      env: { GREETING: 'hello' },
      user: 'nobody',
      workdir: '/tmp',
      labels: { a: '1', b: '1' },
      stopSignal: 'SIGINT',
      stopTimeout: '3s',
    })
    const image = await container.commit({ changes: ['EXPOSE 80', 'LABEL b=2', 'ENV MORE=x'], labels: { c: '3' } })
    const { config, layers, history } = await image.inspect()
    expect(config).toEqual({
      Entrypoint: ['sh', '-c'],
      Cmd: ['echo "$GREETING $0" "$@"', 'world'],
      Env: ['PATH=/bin:/sbin:/usr/bin', 'GREETING=hello', 'MORE=x'],
      User: 'nobody',
      WorkingDir: '/tmp',
      Labels: { a: '1', b: '2', c: '3' },
      ExposedPorts: { '80/tcp': {} },
      StopSignal: 'SIGINT',
      StopTimeout: 3,
    })
    // Nothing changed, so there is no layer.
    expect(layers).toHaveLength(1)
    expect(history.at(-1)).toMatchObject({ empty_layer: true })
    await using again = await engine.containers.run({ image, networks: 'none' })
    await again.wait()
    expect(await textOf(again)).toEqual(['hello world'])
    // An image without overrides stays as it is.
    const plain = await (await engine.containers.create({ image: imageName })).commit()
    expect((await plain.inspect()).config).toEqual((await (await engine.images.get(imageName)).inspect()).config)
  })

  test('a running container is frozen for the moment, unless told otherwise', async () => {
    const container = await during('true')
    const actionsOf = async () => {
      const actions: string[] = []
      for await (const event of engine.events({ types: ['container'], follow: false }))
        if (event.subject === container.id) actions.push(event.action)
      return actions
    }
    await container.commit({ pause: false })
    expect((await actionsOf()).slice(-1)).toEqual(['commit'])
    expect(await actionsOf()).not.toContain('pause')
    await container.commit()
    expect((await actionsOf()).slice(-3)).toEqual(['pause', 'unpause', 'commit'])
    await container.pause()
    await container.commit()
    expect((await container.inspect()).status).toBe('paused')
    await container.unpause()
    expect((await container.exec(['echo', 'alive'])).stdout).toBe('alive\n')
  })

  test('a pause that is asked for meanwhile holds', async () => {
    const container = await during('dd if=/dev/urandom of=/large bs=1M count=64 2>/dev/null')
    const committing = container.commit()
    await waitFor('the commit has frozen it', async () => (await container.inspect()).status === 'paused')
    await container.pause()
    await committing
    expect((await container.inspect()).status).toBe('paused')
    await container.unpause()
  })

  test('several at once of one container', async () => {
    const container = await during('echo x > /x')
    const images = await Promise.all([1, 2, 3, 4].map((at) => container.commit({ created: new Date(at) })))
    const layers = await Promise.all(images.map(async (image) => (await image.inspect()).layers.at(-1)!.digest))
    expect(new Set(layers).size).toBe(1)
    expect((await container.inspect()).status).toBe('running')
  })

  test.each([
    ['gzip', 'oci', 'application/vnd.oci.image.layer.v1.tar+gzip'],
    ['zstd', 'oci', 'application/vnd.oci.image.layer.v1.tar+zstd'],
    ['gzip', 'docker', 'application/vnd.docker.image.rootfs.diff.tar.gzip'],
    ['none', 'docker', 'application/vnd.docker.image.rootfs.diff.tar'],
  ] as const)('a %s layer in the %s format', async (compression, format, mediaType) => {
    const container = await finished('seq 100000 > /numbers')
    const image = await container.commit({ compression, format })
    const { manifest, layers } = await image.inspect()
    const blob = (digest: string) => join(fixture.root, 'content/blobs', digest.replace(':', '/'))
    const document = JSON.parse(readFileSync(blob(manifest), 'utf8'))
    expect(document.mediaType).toContain(format === 'oci' ? 'oci.image.manifest' : 'docker.distribution.manifest')
    expect(document.layers.at(-1).mediaType).toBe(mediaType)
    if (compression !== 'none') {
      expect(layers.at(-1)!.digest).not.toBe(layers.at(-1)!.diffId)
      const program = compression === 'gzip' ? 'gzip' : 'zstd'
      const hash = execFileSync('sh', ['-c', `${program} -dc <"$0" | sha256sum`, blob(layers.at(-1)!.digest)])
      expect(`sha256:${hash.toString().slice(0, 64)}`).toBe(layers.at(-1)!.diffId)
    }
    expect(await saidIn(image, 'tail -n1 /numbers')).toEqual(['100000'])
  })

  test.each<[string, object, object]>([
    ['an unknown option', { repository: 'x' }, { code: 'call.unknown_option' }],
    ['a bad change', { changes: ['FROM x'] }, { code: 'transfer.bad_change' }],
    ['a bad name', { reference: 'UPPER' }, { kind: 'invalid_argument' }],
    ['a name with a digest alone', { reference: `x@sha256:${'0'.repeat(64)}` }, { kind: 'invalid_argument' }],
    ['eStargz', { compression: 'estargz' }, { code: 'transfer.unsupported_compression', kind: 'unsupported' }],
    ['zstd in the docker format', { compression: 'zstd', format: 'docker' }, { kind: 'unsupported' }],
    ['no date', { created: new Date(Number.NaN) }, { code: 'call.bad_option' }],
    ['no format', { format: 'tar' }, { code: 'call.bad_option' }],
  ])('%s is refused, and nothing is left', async (_, options, error) => {
    const container = await finished('echo x > /x')
    const before = readdirSync(join(fixture.root, 'content/blobs/sha256'))
    await expect(container.commit(options as CommitOptions)).rejects.toMatchObject(error)
    expect(readdirSync(join(fixture.root, 'content/blobs/sha256'))).toEqual(before)
    expect(readdirSync(join(fixture.root, 'content/ingest'))).toEqual([])
  })

  test('names that a layer cannot hold are refused by name', async () => {
    const container = await finished('echo x > /.wh.x')
    await expect(container.commit()).rejects.toMatchObject({ code: 'layer.unsupported_entry' })
  })

  test('an abort leaves nothing and lets the container go on', async () => {
    const container = await during('seq 300000 > /numbers')
    const before = readdirSync(join(fixture.root, 'content/blobs/sha256'))
    for (const delay of [0, 1, 3, 6, 10, 20]) {
      const operation = container.commit({ reference: 'never:here' })
      setTimeout(() => operation.abort(), delay)
      const outcome = await operation.then(
        () => 'done',
        (error: Error) => error.name,
      )
      if (outcome === 'done') await (await engine.images.get('never:here')).remove()
      else expect(outcome).toBe('AbortError')
      expect((await container.inspect()).status).toBe('running')
    }
    await engine.gc()
    expect(readdirSync(join(fixture.root, 'content/blobs/sha256'))).toEqual(before)
    expect(readdirSync(join(fixture.root, 'content/ingest'))).toEqual([])
    expect((await engine.check()).problems).toEqual([])
  })

  test('without the image that it was made from there is nothing to commit upon', async () => {
    const image = await (await finished('echo x > /x')).commit({ reference: 'short:lived' })
    const container = await finished('echo y > /y', { image })
    await image.remove({ force: true })
    await expect(container.commit()).rejects.toMatchObject({
      code: 'image.not_found',
      message: expect.stringMatching(/was made from has been removed/),
    })
  })

  test('a driver that only has whole trees', async () => {
    await using vfs = await fixture.open({ root: join(fixture.directory, 'vfs'), storage: { driver: 'vfs' } })
    await vfs.images.load(fixture.tarball)
    const container = await vfs.containers.run({
      image: imageName,
      command: ['sh', '-ec', everything],
      networks: 'none',
    })
    expect((await container.wait()).exitCode).toBe(0)
    const expected = changesOfEverything.map((line) => (line === 'C /root' ? 'C /root' : line))
    expect(await diffOf(container)).toEqual(expected)
    const image = await container.commit()
    const copy = await vfs.containers.create({ image, command: ['true'] })
    expect(await treeOf(copy)).toBe(await treeOf(container))
    await vfs.reset()
  })
})
