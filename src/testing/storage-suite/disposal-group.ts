import assert from 'node:assert/strict'
import { readlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type HostTableOptions, newSince, readHostTables } from '../leak-check.ts'
import type { SuiteGroup } from './suite.ts'
import { draftId, failsWith, snapshotId } from './suite-case.ts'

export const disposalGroup: SuiteGroup = {
  name: 'disposal and leaks',
  checks: () => [
    [
      'refuses every call after disposal, and a second disposal is none',
      async (given) => {
        const { driver } = given
        await given.layer('s1', null)
        await Promise.all([driver[Symbol.asyncDispose](), driver[Symbol.asyncDispose]()])
        await driver[Symbol.asyncDispose]()
        for (const work of [
          () => driver.prepare(draftId('d'), null),
          () => driver.view(draftId('d'), snapshotId('s1')),
          () => driver.mounts(draftId('d')),
          () => driver.commit(draftId('d'), snapshotId('s2')),
          () => driver.remove(snapshotId('s1')),
          () => driver.stat(snapshotId('s1')),
          () => driver.usage(snapshotId('s1')),
          () => driver.health(),
          async () => {
            for await (const _ of driver.list());
          },
        ])
          await failsWith('failed_precondition', work())
        await given.open()
        assert.deepEqual(await given.listed(), ['snapshot s1 < -'])
      },
    ],
    [
      'leaves nothing behind: mounts, loop devices, files, descriptors, children',
      async (given) => {
        const { directory, runDirectory } = given.context
        // The launcher's thread and whatever else is made once.
        await given.layer('warm-up', null)
        await given.driver.remove(snapshotId('warm-up'))
        await given.driver[Symbol.asyncDispose]()
        const options: HostTableOptions = {
          directories: [dirname(directory)],
          parts: ['mounts', 'loopDevices', 'files', 'descriptors', 'children'],
        }
        const before = await readHostTables(options)
        await given.open()
        await given.layer('s1', null, (root) => writeFileSync(join(root, 'file'), 'x'))
        await given.layer('s2', 's1', (root) => writeFileSync(join(root, 'more'), 'y'))
        await given.driver.prepare(draftId('d'), snapshotId('s2'))
        await given.look('s2', () => {})
        for (const id of ['d', 's2', 's1']) await given.driver.remove(draftId(id))
        await given.driver[Symbol.asyncDispose]()
        const found = newSince(before, await readHostTables(options))
        const mountPoints = `files ${runDirectory}/m`
        // Other programs of the machine mount in namespaces of their own while this runs.
        const ownNamespace = `mounts ${readlinkSync('/proc/self/ns/mnt')} `
        const foreign = (line: string) =>
          line.startsWith('mounts ') && !line.startsWith(ownNamespace) && !line.includes(dirname(directory))
        assert.deepEqual(
          found.filter((line) => !line.startsWith(mountPoints) && !foreign(line)),
          [],
        )
      },
    ],
  ],
}
