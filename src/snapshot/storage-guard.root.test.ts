import { describe, test } from 'vitest'
import { overlay2Storage } from '../../drivers/storage/overlay2/index.ts'
import { vfsStorage } from '../../drivers/storage/vfs/index.ts'
import type { StorageDriver } from '../driver-kit/storage-driver.ts'
import { storageDriverSuite } from '../testing/index.ts'
import { StorageGuard } from './storage-guard.ts'

const behindTheGuard = {
  variants: [{ name: 'behind the guard', options: undefined }],
  wrap: (driver: StorageDriver) => new StorageGuard(driver, { graceMs: 200 }),
  runner: { describe, test },
  depth: 8,
  below: '/dev/shm',
}

storageDriverSuite({ ...behindTheGuard, definition: overlay2Storage })
storageDriverSuite({ ...behindTheGuard, definition: vfsStorage })
