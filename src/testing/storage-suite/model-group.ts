import assert from 'node:assert/strict'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { SuiteGroup } from './suite.ts'
import { draftId, type StorageCase, snapshotId } from './suite-case.ts'

/** A tree as the model sees it: paths and what is there. */
type Tree = ReadonlyMap<string, string>

/** Numbers from 0 below 1; the same seed gives the same ones (mulberry32). */
function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const names = ['a', 'b', 'c', 'd']

const isBelow = (path: string, directory: string) => path.startsWith(`${directory}/`)

function removeFrom(tree: Map<string, string>, path: string): void {
  for (const known of [...tree.keys()]) if (known === path || isBelow(known, path)) tree.delete(known)
}

/** Changes one thing in a mounted tree and in its model. */
function changeOne(root: string, tree: Map<string, string>, next: () => number): void {
  const directories = ['', ...[...tree].filter(([, what]) => what.startsWith('dir')).map(([path]) => path)]
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!
  const path = `${pick(directories)}/${pick(names)}`
  const there = tree.get(path)
  const dice = next()
  if (there !== undefined && dice < 0.3) {
    rmSync(join(root, path), { recursive: true })
    removeFrom(tree, path)
  } else if (there !== undefined && dice < 0.45 && !there.startsWith('link')) {
    const mode = pick([0o700, 0o751, 0o755, 0o770])
    chmodSync(join(root, path), mode)
    tree.set(path, there.replace(/ \d+/, ` ${mode}`))
  } else {
    if (there !== undefined) {
      rmSync(join(root, path), { recursive: true })
      removeFrom(tree, path)
    }
    const content = `content-${Math.floor(next() * 1e9)}`
    if (dice < 0.6) {
      mkdirSync(join(root, path))
      chmodSync(join(root, path), 0o755)
      tree.set(path, `dir ${0o755}`)
    } else if (dice < 0.7) {
      symlinkSync(content, join(root, path))
      tree.set(path, `link ${content}`)
    } else {
      writeFileSync(join(root, path), content)
      chmodSync(join(root, path), 0o700)
      tree.set(path, `file ${0o700} ${content}`)
    }
  }
}

function readTree(root: string): Tree {
  const tree = new Map<string, string>()
  const visit = (path: string) => {
    for (const name of readdirSync(join(root, path))) {
      const child = `${path}/${name}`
      const stat = lstatSync(join(root, child))
      const mode = stat.mode & 0o7777
      if (stat.isSymbolicLink()) tree.set(child, `link ${readlinkSync(join(root, child))}`)
      else if (stat.isDirectory()) {
        tree.set(child, `dir ${mode}`)
        visit(child)
      } else tree.set(child, `file ${mode} ${readFileSync(join(root, child), 'utf8')}`)
    }
  }
  visit('')
  return tree
}

const sorted = (tree: Tree) => [...tree].sort(([a], [b]) => (a < b ? -1 : 1))

async function play(given: StorageCase, seed: number, steps: number): Promise<void> {
  const next = random(seed)
  const snapshots = new Map<string, { tree: Tree; parent: string | null; uses: number }>()
  const pickParent = () => [null, ...snapshots.keys()][Math.floor(next() * (snapshots.size + 1))]!
  for (let step = 0; step < steps; step++) {
    const dice = next()
    if (dice < 0.55 || snapshots.size === 0) {
      const parent = snapshots.size === 0 ? null : pickParent()
      const below = parent === null ? undefined : snapshots.get(parent)
      const tree = new Map(below?.tree)
      const [draft, as] = [draftId(`d${step}`), `s${step}`]
      const mounts = await given.driver.prepare(draft, parent === null ? null : snapshotId(parent))
      const changes = 1 + Math.floor(next() * 12)
      await given.mounted(mounts, (root) => {
        for (let i = 0; i < changes; i++) changeOne(root, tree, next)
        assert.deepEqual(sorted(readTree(root)), sorted(tree))
      })
      if (next() < 0.2) await given.driver.remove(draft)
      else {
        await given.driver.commit(draft, snapshotId(as))
        snapshots.set(as, { tree, parent, uses: 0 })
        if (below) below.uses++
      }
    } else if (dice < 0.75) {
      const id = [...snapshots.keys()][Math.floor(next() * snapshots.size)]!
      await given.look(id, (root) => assert.deepEqual(sorted(readTree(root)), sorted(snapshots.get(id)!.tree)))
    } else if (dice < 0.85) {
      await (next() < 0.5 ? given.reopen() : given.crash())
    } else {
      const id = [...snapshots.keys()][Math.floor(next() * snapshots.size)]!
      const { uses, parent } = snapshots.get(id)!
      const [result] = await Promise.allSettled([given.driver.remove(snapshotId(id))])
      assert.equal(result.status, uses > 0 ? 'rejected' : 'fulfilled')
      if (uses > 0) continue
      snapshots.delete(id)
      if (parent !== null) snapshots.get(parent)!.uses--
    }
  }
  const expected = [...snapshots].map(([id, { parent }]) => `snapshot ${id} < ${parent ?? '-'}`).sort()
  assert.deepEqual(await given.listed(), expected)
  for (const [id, { tree }] of snapshots)
    await given.look(id, (root) => assert.deepEqual(sorted(readTree(root)), sorted(tree)))
}

export const modelGroup: SuiteGroup = {
  name: 'model',
  checks: ({ seed = 20_250_101 }) => [
    [
      'does what a model in memory does',
      async (given) => {
        try {
          await play(given, seed, 60)
        } catch (error) {
          throw new Error(`with seed ${seed}: ${String(error)}`, { cause: error })
        }
      },
    ],
  ],
}
