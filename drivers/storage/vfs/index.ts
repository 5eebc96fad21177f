/**
 * Storage driver `vfs`: every layer is a whole copy. Slow and large, and works anywhere.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { VfsDriver } from './driver.ts'
import { parseOptions, type VfsOptions } from './options.ts'
import { probe } from './probe.ts'

export type { VfsOptions } from './options.ts'

/** A full copy for every tree: slow, but it works on every file system. */
export const vfsStorage: DriverDefinition<'storage', VfsOptions> = {
  type: 'storage',
  name: 'vfs',
  kit: '^1.1.0',
  parseOptions,
  probe,
  open: (context, _options, call) => VfsDriver.open(context, call),
}
