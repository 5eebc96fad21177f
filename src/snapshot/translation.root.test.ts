import { describe, test } from 'vitest'
import { overlay2Storage } from '../../drivers/storage/overlay2/index.ts'
import { vfsStorage } from '../../drivers/storage/vfs/index.ts'
import { carryLayers } from '../testing/storage-suite/layer-travel-group.ts'
import { StorageCase } from '../testing/storage-suite/suite-case.ts'
import { TemporaryContexts } from '../testing/storage-suite/temporary-context.ts'

const runner = { describe, test }
const drivers = {
  overlay2: { definition: overlay2Storage, options: {} },
  'overlay2 with marks in user.overlay.*': { definition: overlay2Storage, options: { userXattrs: true } },
  vfs: { definition: vfsStorage, options: {} },
} as const
type Name = keyof typeof drivers

async function open(name: Name, contexts: TemporaryContexts): Promise<StorageCase> {
  const { definition, options } = drivers[name]
  return (await StorageCase.create<unknown>({ definition, runner }, contexts.create(), options)) as StorageCase
}

const names = Object.keys(drivers) as Name[]
const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to] as const))

describe('layers carried between drivers', () => {
  test.each(pairs)('from %s to %s', async (from, to) => {
    await using contexts = new TemporaryContexts('/dev/shm')
    await using source = await open(from, contexts)
    await using target = await open(to, contexts)
    await carryLayers(source, target)
  })
})
