/**
 * Storage driver `fuse-overlayfs`: layers as directories, merged by a program instead of the kernel. For users and file
 * systems that the kernel's overlay refuses.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { FuseOverlayfsDriver } from './driver.ts'
import { type FuseOverlayfsOptions, parseOptions } from './options.ts'
import { probe } from './probe.ts'

export type { FuseOverlayfsOptions } from './options.ts'

/** Layers as directories, merged by the program fuse-overlayfs; slower than `overlay2`, much smaller than `vfs`. */
export const fuseOverlayfsStorage: DriverDefinition<'storage', FuseOverlayfsOptions> = {
  type: 'storage',
  name: 'fuse-overlayfs',
  kit: '^1.1.0',
  parseOptions,
  probe,
  open: (context, _options, call) => FuseOverlayfsDriver.open(context, call),
}
