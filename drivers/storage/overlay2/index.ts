/**
 * Storage driver `overlay2`: layers as directories, merged by the kernel's overlay file system.
 *
 * @module
 */
import type { DriverDefinition } from 'tscontainer/driver-kit'
import { Overlay2Driver } from './driver.ts'
import { type Overlay2Options, parseOptions } from './options.ts'
import { probe } from './probe.ts'

export type { Overlay2Options } from './options.ts'

/** Layers as directories, merged by the kernel. The default where it works. */
export const overlay2Storage: DriverDefinition<'storage', Overlay2Options> = {
  type: 'storage',
  name: 'overlay2',
  kit: '^1.1.0',
  parseOptions,
  probe,
  open: (context, options, call) => Overlay2Driver.open(context, options, call),
}
