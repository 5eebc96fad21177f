import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ChangeHint } from '../driver-kit/storage-driver.ts'
import { applyLayer } from './apply-layer.ts'
import { packChanges } from './pack-changes.ts'
import { packTar } from './pack-tar.ts'
import { changeTree, growTree, randomOf } from './random-tree-fixture.ts'
import { type TreeFixture, treeFixture } from './tree-fixture.ts'

const seeds = [1, 2]

let fixture: TreeFixture
beforeEach(() => {
  fixture = treeFixture()
  shell('mkdir lower upper work merged scratch other')
})
afterEach(() => fixture[Symbol.dispose]())

const at = (name: string) => join(fixture.directory, name)
const shell = (script: string) => fixture.shell(`export LC_ALL=C; ${script}`)
const bind = (name: string, mode: 'ro' | 'rw') => ({
  target: at('target'),
  mounts: [{ type: 'bind', source: at(name), options: ['bind', mode] }],
})

async function written(name: string, pack: (fd: number) => Promise<unknown>): Promise<Buffer> {
  const fd = openSync(at(name), 'w')
  try {
    await pack(fd)
  } finally {
    closeSync(fd)
  }
  return readFileSync(at(name))
}

const pack = (tree: string, name: string) =>
  written(name, (fd) => packTar({ kind: 'tree', tree: bind(tree, 'ro') }, fd))
const packDiff = (hint: ChangeHint, name: string) =>
  written(name, (fd) => packChanges(hint, fd, { scratch: at('scratch') }))
const apply = (name: string, tree: string) =>
  applyLayer({ path: at(name), offset: 0, length: statSync(at(name)).size }, bind(tree, 'rw'))

/** Everything of a tree, as GNU tools see it; `plain` without what Python's tars do not hold. */
const seen = (tree: string, plain = false) =>
  shell(`cd ${tree}; where=$PWD
    find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %n ${plain ? '' : '%T@'} %l\\0' | sort -z | tr '\\0' '\\n'
    find . -mindepth 1 -type d -printf '%p %y %m %U %G ${plain ? '' : '%T@'}\\0' | sort -z | tr '\\0' '\\n'
    find . -type f -print0 | sort -z | xargs -r0 sha256sum
    find . \\( -type c -o -type b \\) -print0 | sort -z | xargs -r0 stat -c '%n %t %T'
    ${plain ? '' : `find . -type f -print0 | sort -z | xargs -r0 getfattr -dh -m '^(user|security)'`}`)

describe.each(seeds)('seed %d', (seed) => {
  test('a random tree packed, applied and packed again gives the same bytes', async () => {
    growTree(at('lower'), randomOf(seed), 120)
    const first = await pack('lower', 'first')
    await apply('first', 'other')
    expect(seen('other')).toBe(seen('lower'))
    expect((await pack('other', 'second')).equals(first)).toBe(true)
  })

  test('what others pack of it gives the same tree', async () => {
    growTree(at('lower'), randomOf(seed), 120)
    shell(`tar --format=pax --xattrs --xattrs-include='*' --numeric-owner -cf gnu.tar -C lower .
      python3 -c 'import os,tarfile; os.chdir("lower"); t=tarfile.open("../python.tar","w",format=tarfile.PAX_FORMAT); t.add("."); t.close()'`)
    await apply('gnu.tar', 'other')
    expect(seen('other')).toBe(seen('lower'))
    shell('rm -rf other; mkdir other')
    await apply('python.tar', 'other')
    expect(seen('other', true)).toBe(seen('lower', true))
  })

  test('changes of an overlay, applied below it, give what it showed; umoci makes the same of them', async () => {
    const random = randomOf(seed)
    growTree(at('lower'), random, 120)
    const before = seen('lower')
    const options = 'lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=nofollow,metacopy=off,index=off'
    shell(`mount -t overlay overlay -o ${options} merged`)
    try {
      changeTree(at('merged'), random, 44)
      shell('cp -a merged/. other')
    } finally {
      shell('umount merged')
    }
    const hint: ChangeHint = {
      format: 'overlay',
      directory: at('upper'),
      lower: [at('lower')],
      xattrPrefix: 'trusted.overlay.',
    }
    const diff = await packDiff(hint, 'diff')
    expect((await packDiff(hint, 'again')).equals(diff)).toBe(true)
    // The same from two whole trees.
    await packDiff({ format: 'trees', directory: at('other'), parent: at('lower') }, 'trees')
    const wanted = seen('other')
    expect(wanted).not.toBe(before)
    for (const name of ['diff', 'trees']) {
      shell(`cp -a lower rebuilt-${name}`)
      await apply(name, `rebuilt-${name}`)
      expect(seen(`rebuilt-${name}`)).toBe(wanted)
    }
    shell(`tar --format=pax --xattrs --xattrs-include='*' --numeric-owner -cf base -C lower .`)
    umoci(['base', 'diff'])
    expect(seen('bundle/rootfs')).toBe(wanted)
  })
})

/** Unpacks the layers with a tool of others. */
function umoci(layers: readonly string[]): void {
  mkdirSync(at('oci/blobs/sha256'), { recursive: true })
  const store = (bytes: Uint8Array, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(at(`oci/blobs/sha256/${hex}`), bytes)
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: `sha256:${hex}`, size: bytes.length }
  }
  const json = (document: object, mediaType: string) => store(Buffer.from(JSON.stringify(document)), mediaType)
  const stored = layers.map((name) => store(readFileSync(at(name)), 'layer.v1.tar'))
  const rootfs = { type: 'layers', diff_ids: stored.map(({ digest }) => digest) }
  const config = json({ architecture: 'amd64', os: 'linux', config: {}, rootfs }, 'config.v1+json')
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = json({ schemaVersion: 2, mediaType, config, layers: stored }, 'manifest.v1+json')
  const annotations = { 'org.opencontainers.image.ref.name': 'it' }
  writeFileSync(at('oci/index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }))
  writeFileSync(at('oci/oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  shell('umoci unpack --image oci:it bundle')
}
