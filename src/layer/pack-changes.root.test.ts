import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ChangeHint } from '../driver-kit/storage-driver.ts'
import { packChanges } from './pack-changes.ts'
import { treeFixture } from './tree-fixture.ts'

// What somebody else's mount of our directories may leave; the engine's own mounts have both features off.
test.each([
  ['redirect', 'mv merged/dir merged/elsewhere'],
  ['metacopy', 'chmod 700 merged/file'],
])('refuses an overlay %s mark instead of losing content', async (mark, change) => {
  using fixture = treeFixture()
  fixture.shell(`
    mkdir -p lower/dir upper work merged; echo content >lower/dir/inside; echo content >lower/file
    unshare -m bash -euc '
      mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,metacopy=on,redirect_dir=on merged
      ${change}'`)
  const scratch = join(fixture.directory, 'scratch')
  mkdirSync(scratch)
  const hint: ChangeHint = {
    format: 'overlay',
    directory: join(fixture.directory, 'upper'),
    lower: [join(fixture.directory, 'lower')],
    xattrPrefix: 'trusted.overlay.',
  }
  const output = openSync(join(fixture.directory, 'layer.tar'), 'w')
  try {
    await expect(packChanges(hint, output, { scratch })).rejects.toMatchObject({
      code: 'layer.unsupported_entry',
      message: expect.stringMatching(new RegExp(`overlay ${mark} mark.*off`)),
    })
  } finally {
    closeSync(output)
  }
})
