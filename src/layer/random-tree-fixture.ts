import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { fileTypes, lchown, makedev, mkfifo, mknod, utimens } from '../host/syscall/file.ts'
import { lsetxattr } from '../host/syscall/xattr.ts'

/** Numbers from 0 on, the same for the same seed. Source: the mixing of "splitmix32". */
export function randomOf(seed: number): (below: number) => number {
  let state = seed | 0
  return (below) => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below
  }
}

type Random = ReturnType<typeof randomOf>

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!
const names = ['a', 'b', 'file', '.hidden', 'n\xe9', 'sp ace', 'line\nbreak', '7'.repeat(120), '-dash']
// Names are latin1 text here: one character a byte.
const bytes = (path: string): Buffer => Buffer.from(path, 'latin1')
const timeOf = (random: Random) => ({ seconds: random(2 ** 31) - 1000, nanoseconds: random(1_000_000_000) })

/** Makes entries of every kind in a directory. */
export function growTree(root: string, random: Random, entries: number): void {
  const directories = [root]
  const files: string[] = []
  const made: string[] = []
  for (let index = 0; index < entries; index++) {
    const path = `${pick(random, directories)}/${pick(random, names)}${index}`
    const file = () => {
      files.push(path)
      writeFileSync(bytes(path), pick(random, ['a', 'bc', 'def']).repeat(pick(random, [0, 1, 171, 256, 512, 70_000])))
    }
    const kinds: (() => void)[] = [
      () => {
        directories.push(path)
        mkdirSync(bytes(path))
        chmodSync(bytes(path), pick(random, [0o755, 0o1777, 0o2750, 0o700]))
      },
      () => {
        file()
        lchown(bytes(path), random(5_000_000), random(5_000_000))
        chmodSync(bytes(path), pick(random, [0o644, 0o4755, 0o2711, 0]))
      },
      () => (files.length > 0 ? linkSync(bytes(pick(random, files)), bytes(path)) : file()),
      () => {
        symlinkSync(bytes(pick(random, ['/nowhere', '../b', '\xff/c', '.', 'l'.repeat(150)])), bytes(path))
        lchown(bytes(path), 5, 6)
      },
      () => mkfifo(bytes(path), 0o620),
      () => {
        const device = makedev(1 + random(4000), random(300_000))
        mknod(bytes(path), random(2) ? fileTypes.character : fileTypes.block, 0o640, device)
      },
      () => {
        file()
        lsetxattr(bytes(path), `user.k${random(9)}`, bytes(`v\0\n${random(99)}`))
      },
      () => {
        file()
        truncateSync(bytes(path), 100_000 + random(3_000_000))
        appendFileSync(bytes(path), 'end')
      },
    ]
    // Every kind comes; directories and files more often.
    const kind = index < kinds.length ? index : pick(random, [0, 0, 1, 1, 2, 3, 4, 5, 6, 7])
    kinds[kind]!()
    made.push(path)
  }
  for (const path of made) utimens(bytes(path), null, timeOf(random))
}

/** All that is in a directory; links are not followed. */
const below = (directory: string): string[] =>
  readdirSync(bytes(directory), { encoding: 'latin1', withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((item) => {
      const path = `${directory}/${item.name}`
      return item.isDirectory() ? [path, ...below(path)] : [path]
    })

/** Changes such a tree in every way. */
export function changeTree(root: string, random: Random, changes: number): void {
  for (let index = 0; index < changes; index++) {
    const target = pick(random, below(root))
    const path = bytes(target)
    const remove = () => rmSync(path, { recursive: true })
    const isFile = lstatSync(path).isFile()
    const ways: (() => void)[] = [
      remove,
      () => !lstatSync(path).isSymbolicLink() && chmodSync(path, 0o711),
      () => lchown(path, 77, 88),
      () => utimens(path, null, timeOf(random)),
      () => isFile && appendFileSync(path, 'more'),
      () => {
        remove()
        writeFileSync(path, 'a file now')
      },
      () => {
        // Opaque, when there was a directory before.
        remove()
        mkdirSync(path)
        writeFileSync(bytes(`${target}/in${index}`), 'in')
      },
      () => renameSync(path, bytes(`${root}/moved${index}`)),
      () => isFile && linkSync(path, bytes(`${root}/hard${index}`)),
      () => isFile && lsetxattr(path, 'user.changed', bytes('yes')),
      () => {
        mkdirSync(`${root}/new${index}/deep`, { recursive: true })
        writeFileSync(`${root}/new${index}/deep/file`, 'new')
      },
    ]
    // Every way once.
    try {
      ways[index % ways.length]!()
    } catch (error) {
      // Overlays do not rename directories of lower layers (redirect_dir=nofollow).
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    }
  }
}
