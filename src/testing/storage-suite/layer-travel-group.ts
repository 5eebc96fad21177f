import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DraftId } from '../../driver-kit/ids.ts'
import { describeTree } from './describe-tree.ts'
import { changeCorpus, makeCorpus } from './layer-corpus.ts'
import { LayerTars } from './layer-tars.ts'
import type { SuiteGroup } from './suite.ts'
import { draftId, type StorageCase, snapshotId } from './suite-case.ts'

const describe = (given: StorageCase) => (root: string) => {
  const lines = new Map(describeTree(root, given.host.xattrs, { exact: true }))
  // The time of the root itself is no change that a layer tells.
  lines.set('', lines.get('')!.replace(/\d{10,}/, ''))
  return lines
}

/**
 * Makes two layers in `from`, carries them to `to` as tars, and compares: the trees as they were made, as `from` shows
 * them later, and as `to` shows them.
 */
export async function carryLayers(from: StorageCase, to: StorageCase): Promise<void> {
  const tars = new LayerTars(from)
  const able = await from.abilities
  const layers: { tar: string; sha256: string; tree: ReadonlyMap<string, string> }[] = []
  for (const [index, change] of [makeCorpus, changeCorpus].entries()) {
    const [draft, as] = [draftId(`from-${index}`), `from${index}`]
    const mounts = await from.driver.prepare(draft, index === 0 ? null : snapshotId('from0'))
    await from.mounted(mounts, (root) => change(root, from.host, able))
    // Looked at once more, mounted anew: caches of the mount it was made in do not count.
    const tree = await from.mounted(await from.driver.mounts(draft), describe(from))
    const { path, sha256 } = await tars.pack(from, draft)
    assert.equal((await tars.pack(from, draft)).sha256, sha256, 'the same changes give the same tar')
    layers.push({ tar: path, sha256, tree })
    await from.driver.commit(draft, snapshotId(as))
    assert.deepEqual(await from.look(as, describe(from)), tree, 'as a snapshot')
  }
  for (const [index, { tar, sha256, tree }] of layers.entries()) {
    const [draft, as] = [draftId(`to-${index}`), `to${index}`]
    const mounts = await to.driver.prepare(draft, index === 0 ? null : snapshotId('to0'))
    await tars.apply(tar, mounts)
    assert.deepEqual(
      await to.mounted(await to.driver.mounts(draft), describe(to)),
      tree,
      `layer ${index}, carried over`,
    )
    const again = await tars.pack(to, draft)
    if (index === 0) assert.equal(again.sha256, sha256, 'a whole tree gives the same tar on both sides')
    await to.driver.commit(draft, snapshotId(as))
    assert.deepEqual(await to.look(as, describe(to)), tree)
    await backAgain(to, tars, again.path, index, tree)
  }
}

/** What `to` says it changed must make the same tree once more. */
async function backAgain(
  to: StorageCase,
  tars: LayerTars,
  tar: string,
  index: number,
  tree: ReadonlyMap<string, string>,
): Promise<void> {
  const draft: DraftId = draftId(`back-${index}`)
  await tars.apply(tar, await to.driver.prepare(draft, index === 0 ? null : snapshotId('to0')))
  assert.deepEqual(await to.mounted(await to.driver.mounts(draft), describe(to)), tree, `layer ${index}, packed anew`)
  await to.driver.remove(draft)
}

export const layerTravelGroup: SuiteGroup = {
  name: 'layers through tars',
  checks: () => [
    [
      'carries everything that files have, and every kind of change',
      async (given) => {
        if (given.driver.capabilities.changeHint) await carryLayers(given, given)
      },
    ],
    [
      'says that a draft in which nothing happened changes nothing',
      async (given) => {
        if (!given.driver.capabilities.changeHint) return
        const able = await given.abilities
        await given.layer('s1', null, (root) => makeCorpus(root, given.host, able))
        const [draft, tars] = [draftId('d'), new LayerTars(given)]
        await given.mounted(await given.driver.prepare(draft, snapshotId('s1')), (root) => {
          describeTree(root, given.host.xattrs)
        })
        assert.equal((await tars.pack(given, draft)).entries, 0)
        await given.mounted(await given.driver.mounts(draft), (root) => writeFileSync(join(root, 'kept/sub/new'), ''))
        // The file and the directories above it.
        assert((await tars.pack(given, draft)).entries <= 4)
      },
    ],
  ],
}
