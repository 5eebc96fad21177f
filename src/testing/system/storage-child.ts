import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { overlay2Storage } from '../../../drivers/storage/overlay2/index.ts'
import { vfsStorage } from '../../../drivers/storage/vfs/index.ts'
import { openTestStorage, testChain } from './storage-fixture.ts'

// A process beside the tests of snapshots.root.test.ts. It says on stdout what has been acknowledged.
const [root = '', work = '', seed = '0'] = process.argv.slice(2)
const say = (line: string) => process.stdout.write(`${line}\n`)

const open = await openTestStorage(root, [overlay2Storage, vfsStorage])

if (work === 'chain') {
  const layers = testChain('one', 'two', 'three', 'four')
  await open.storage.ensureChain(layers, async (index, mounts) => {
    await open.mounted(mounts, (path) => writeFileSync(join(path, `layer-${index}`), ''))
    await sleep(30)
    say(`made ${index}`)
  })
  await open[Symbol.asyncDispose]()
  say('done')
} else {
  // Makes, uses and removes until it is killed.
  for (let n = 0; ; n++) {
    const layers = testChain(`${seed}-${n}-a`, `${seed}-${n}-b`)
    await open.storage.ensureChain(layers, (index, mounts) =>
      open.mounted(mounts, (path) => writeFileSync(join(path, `layer-${index}`), 'whole')),
    )
    say(`chain ${layers[1]!.chainId}`)
    const drafts = [0, 1, 2].map((i) => `c-${seed}-${n}-${i}`)
    for (const id of drafts)
      await open.storage.createDraft(id, layers[1]!.chainId, { kind: 'container', owner: open.owner.id })
    say(`drafts ${drafts.join(' ')}`)
    for (const id of drafts.slice(n % 3)) await open.storage.removeDraft(id)
    say('removed')
  }
}
