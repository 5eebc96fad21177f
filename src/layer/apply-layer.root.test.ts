import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isEngineError } from '../errors/engine-error.ts'
import { packTar } from './pack-tar.ts'
import { emptyEntry, type TarEntry } from './tar-entry.ts'
import { encodeHeader, endOfTar, padding } from './tar-header-writer.ts'
import { listing, type TreeFixture, treeFixture } from './tree-fixture.ts'

let fixture: TreeFixture
beforeEach(() => {
  fixture = treeFixture()
})
afterEach(() => fixture[Symbol.dispose]())

const plain: TarEntry = { ...emptyEntry, mode: 0o644, mtime: { seconds: 1, nanoseconds: 0 } }

type Spec = Partial<Omit<TarEntry, 'path' | 'link'>> & { path: string; link?: string; body?: string }

/** A tar of exactly these entries, in this order. */
function tarOf(...specs: Spec[]): Buffer {
  const parts = specs.map(({ body = '', path, link = '', ...rest }) => {
    const bytes = Buffer.from(body)
    const entry = { ...plain, ...rest, path: Buffer.from(path, 'latin1'), link: Buffer.from(link), size: bytes.length }
    return Buffer.concat([encodeHeader(entry), bytes, Buffer.alloc(padding(bytes.length))])
  })
  return Buffer.concat([...parts, endOfTar])
}

async function apply(bytes: Buffer): Promise<void> {
  writeFileSync(join(fixture.directory, 'layer'), bytes)
  await fixture.apply('layer')
}

async function refusal(bytes: Buffer): Promise<string> {
  try {
    await apply(bytes)
  } catch (error) {
    if (isEngineError(error)) return error.code
    throw error
  }
  return 'accepted'
}

const read = (path: string) => readFileSync(join(fixture.tree, path), 'utf8')

describe('beside GNU tar', () => {
  const everything = `
    mkdir -p in/a/b in/empty; cd in
    echo text > a/file; chmod 4755 a/file; chown 12345:54321 a/file
    ln a/file a/hard; ln -s ../nowhere a/soft; chown -h 7:8 a/soft
    mkfifo a/fifo; mknod a/char c 1 3; mknod a/block b 7 200
    chmod 1777 empty; chmod 2750 a/b
    head -c 300000 /dev/urandom > a/random
    truncate -s 5M a/sparse; printf x | dd of=a/sparse bs=1 seek=3000000 conv=notrunc status=none
    touch "$(printf 'a/n\\351on-utf8')" "a/$(printf 'l%.0s' $(seq 200))"
    mkdir -p "$(printf 'deep/%.0s' $(seq 40))"
    setfattr -n user.note -v hello a/random; cp /bin/true a/cap; setcap cap_net_raw+ep a/cap
    touch -d '2001-02-03 04:05:06.123456789' a/random a/b; touch -h -d '1969-12-31 00:00:00.5 UTC' a/soft`

  test.each([
    ['pax', '--format=pax --xattrs --xattrs-include=*'],
    ['pax, sparse 1.0', '--format=pax --xattrs --xattrs-include=* -S'],
    ['pax, sparse 0.1', '--format=pax -S --sparse-version=0.1'],
    ['pax, sparse 0.0', '--format=pax -S --sparse-version=0.0'],
    ['gnu', '--format=gnu -S'],
  ])('%s: the same tree', async (_, options) => {
    fixture.shell(everything)
    fixture.shell(
      `tar ${options} --numeric-owner -cf layer -C in . ; mkdir out; tar -xpf layer -C out --xattrs --xattrs-include='*' --numeric-owner`,
    )
    const { diffId } = await fixture.apply('layer')
    expect(diffId).toBe(`sha256:${fixture.shell('sha256sum layer').slice(0, 64)}`)
    expect(fixture.shell(`cd tree; ${listing}`)).toBe(fixture.shell(`cd out; ${listing}`))
    const attributes = `getfattr -dhR -m '^(user|security)' . | sort`
    expect(fixture.shell(`cd tree; ${attributes}`)).toBe(fixture.shell(`cd out; ${attributes}`))
    expect(lstatSync(join(fixture.tree, 'a/sparse')).blocks).toBeLessThan(1000)
  })

  test('packed again by us, GNU tar reads the same tree, twice the same bytes', async () => {
    fixture.shell(everything)
    const pack = async (name: string) => {
      const fd = openSync(join(fixture.directory, name), 'w')
      try {
        const mounts = [{ type: 'bind', source: join(fixture.directory, 'in'), options: ['bind'] }]
        await packTar({ kind: 'tree', tree: { target: join(fixture.directory, 'target'), mounts } }, fd)
      } finally {
        closeSync(fd)
      }
    }
    await pack('one')
    await pack('two')
    fixture.shell(`cmp one two; mkdir out; tar -xpf one -C out --xattrs --xattrs-include='*' --numeric-owner`)
    expect(fixture.shell(`cd out; ${listing}`)).toBe(fixture.shell(`cd in; ${listing}`))
    expect(fixture.shell('getcap out/a/cap')).toContain('cap_net_raw')
  })

  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('%s layers have the diff id of the tar inside', async (_, compress) => {
    const tar = tarOf({ path: 'x', body: 'y'.repeat(100_000) })
    writeFileSync(join(fixture.directory, 'plain'), tar)
    writeFileSync(join(fixture.directory, 'packed'), compress(tar))
    const inside = await fixture.apply('packed')
    expect(inside.diffId).toBe((await fixture.apply('plain')).diffId)
  })
})

describe('whiteouts and order', () => {
  beforeEach(() => {
    fixture.shell(
      'mkdir -p tree/dir/sub tree/gone; echo low > tree/dir/low; echo low > tree/dir/sub/low; echo x > tree/gone/x; echo f > tree/file',
    )
  })

  test('a whiteout takes what lies below, wherever it stands', async () => {
    await apply(tarOf({ path: '.wh.gone' }, { path: 'dir/.wh.low' }, { path: 'file2' }))
    expect(readdirSync(fixture.tree).sort()).toEqual(['dir', 'file', 'file2'])
    expect(readdirSync(join(fixture.tree, 'dir'))).toEqual(['sub'])
  })

  test.each([
    ['first', [{ path: 'dir/.wh..wh..opq' }, { path: 'dir/new', body: 'n' }]],
    ['last', [{ path: 'dir/new', body: 'n' }, { path: 'dir/.wh..wh..opq' }]],
  ])('an opaque marker that comes %s keeps what the layer itself has', async (_, entries) => {
    await apply(tarOf({ path: 'dir', type: 'directory', mode: 0o755 }, ...entries))
    expect(readdirSync(join(fixture.tree, 'dir'))).toEqual(['new'])
  })

  test('the last of two entries of a name wins; files and directories replace each other', async () => {
    await apply(
      tarOf(
        { path: 'file', type: 'directory', mode: 0o755 },
        { path: 'file/in', body: '1' },
        { path: 'dir', body: 'now a file' },
        { path: 'twice', body: 'first' },
        { path: 'twice', body: 'second' },
      ),
    )
    expect([read('file/in'), read('dir'), read('twice')]).toEqual(['1', 'now a file', 'second'])
  })

  test('hard links reach lower layers; parents are made', async () => {
    await apply(tarOf({ path: 'deep/er/link', type: 'hardlink', link: 'dir/low' }))
    expect(read('deep/er/link')).toBe('low\n')
    expect(lstatSync(join(fixture.tree, 'deep')).mode & 0o7777).toBe(0o755)
  })
})

describe('hostile layers', () => {
  test('nothing gets out: absolute paths, dot-dot, links to outside', async () => {
    const outside = join(fixture.directory, 'outside')
    mkdirSync(outside)
    await apply(
      tarOf(
        { path: `${outside}/absolute`, body: 'x' },
        { path: '../../../../../../up', body: 'x' },
        { path: 'link', type: 'symlink', link: outside },
        { path: 'link/through', body: 'x' },
      ).subarray(),
    ).catch((error: unknown) => expect(isEngineError(error)).toBe(true))
    expect(readdirSync(outside)).toEqual([])
    expect(existsSync('/up')).toBe(false)
    expect(existsSync(join(fixture.tree, 'up'))).toBe(true)
    expect(await refusal(tarOf({ path: 'h', type: 'hardlink', link: '/etc/shadow' }))).toBe('layer.bad_entry')
  })

  const overlayMark = new Map([['trusted.overlay.opaque', Buffer.from('y')]])
  test.each<[string, () => Buffer, string]>([
    ['a hard link to nothing', () => tarOf({ path: 'x', type: 'hardlink', link: 'no' }), 'layer.bad_entry'],
    ['a link to nothing', () => tarOf({ path: 'x', type: 'symlink', link: '' }), 'layer.bad_entry'],
    ['an overlay mark', () => tarOf({ path: 'x', xattrs: overlayMark }), 'layer.bad_entry'],
    ['a whiteout of dot-dot', () => tarOf({ path: '.wh...' }), 'layer.bad_entry'],
    ['a file below a file', () => tarOf({ path: 'x' }, { path: 'x/y' }), 'layer.bad_entry'],
    ['a path too deep', () => tarOf({ path: 'd/'.repeat(300) }), 'layer.limit_exceeded'],
    ['a long path', () => tarOf({ path: 'n'.repeat(5000) }), 'layer.limit_exceeded'],
    ['no tar at all', () => Buffer.alloc(4096, 'text'), 'layer.malformed'],
    ['a wrong checksum', () => damaged(tarOf({ path: 'x' }), 0), 'layer.malformed'],
    [
      'a truncated gzip',
      () => gzipSync(tarOf({ path: 'x', body: 'y'.repeat(5000) })).subarray(0, 40),
      'layer.truncated',
    ],
    ['a damaged gzip', () => damaged(gzipSync(tarOf({ path: 'x', body: 'y' })), 15), 'layer.bad_compression'],
  ])('%s', async (_, bytes, code) => {
    expect(await refusal(bytes())).toBe(code)
  })

  test('cut anywhere it is refused or whole', async () => {
    const tar = tarOf({ path: 'a', body: 'x'.repeat(700) }, { path: 'b'.repeat(150), body: 'y' })
    for (let length = 0; length <= tar.length; length += 256) {
      const code = await refusal(tar.subarray(0, length))
      expect(['accepted', 'layer.truncated', 'layer.malformed']).toContain(code)
      if (code === 'accepted' && length > 0) expect(length).toBeGreaterThanOrEqual(512 + 700)
    }
  })

  test('limits: entries, bytes, expansion', async () => {
    writeFileSync(
      join(fixture.directory, 'bomb'),
      gzipSync(Buffer.concat([tarOf({ path: 'x' }).subarray(0, 512), Buffer.alloc(90 << 20)])),
    )
    await expect(fixture.apply('bomb', { limits: { expansion: 100 } })).rejects.toMatchObject({
      code: 'layer.limit_exceeded',
    })
    writeFileSync(join(fixture.directory, 'many'), tarOf({ path: 'a' }, { path: 'b' }, { path: 'c' }))
    await expect(fixture.apply('many', { limits: { entries: 2 } })).rejects.toMatchObject({
      code: 'layer.limit_exceeded',
    })
    await expect(fixture.apply('many', { limits: { totalBytes: 1000 } })).rejects.toMatchObject({
      code: 'layer.limit_exceeded',
    })
  })

  test('a wrong diff id and an abort are typed', async () => {
    writeFileSync(join(fixture.directory, 'layer'), tarOf({ path: 'a' }))
    const expectDiffId = `sha256:${'0'.repeat(64)}` as const
    await expect(fixture.apply('layer', { expectDiffId })).rejects.toMatchObject({ code: 'layer.diff_id_mismatch' })
    await expect(fixture.apply('layer', { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })

  test('a full disk', async () => {
    fixture.shell('mount -t tmpfs -o size=200k tmpfs tree')
    try {
      expect(await refusal(tarOf({ path: 'big', body: 'x'.repeat(1_000_000) }))).toBe('layer.disk_full')
    } finally {
      fixture.shell('umount tree')
    }
  })
})

function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = copy[at]! ^ 0xff
  return copy
}
