import { jsonFileLog } from '../drivers/log/json-file/index.ts'
import { bridgeNetwork } from '../drivers/network/bridge/index.ts'
import { hostNetwork } from '../drivers/network/host/index.ts'
import { noneNetwork } from '../drivers/network/none/index.ts'
import { ociCliRuntime } from '../drivers/runtime/oci-cli/index.ts'
import { fuseOverlayfsStorage } from '../drivers/storage/fuse-overlayfs/index.ts'
import { overlay2Storage } from '../drivers/storage/overlay2/index.ts'
import { vfsStorage } from '../drivers/storage/vfs/index.ts'
import type { AnyDriverDefinition } from './driver-kit/definition.ts'

/** Every shipped driver, in order of preference within its type. */
export const builtinDrivers: readonly AnyDriverDefinition[] = [
  overlay2Storage,
  fuseOverlayfsStorage,
  vfsStorage,
  ociCliRuntime,
  jsonFileLog,
  bridgeNetwork,
  hostNetwork,
  noneNetwork,
]
