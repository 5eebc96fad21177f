import { describe, test } from 'vitest'
import { storageDriverSuite } from '../../../src/testing/index.ts'
import { overlay2Storage } from './index.ts'

storageDriverSuite({ definition: overlay2Storage, runner: { describe, test }, require: ['changeHint'] })

// Another file system, where syncing costs nothing.
storageDriverSuite({
  definition: overlay2Storage,
  variants: [{ name: 'marks in user.overlay.* on tmpfs', options: { userXattrs: true, volatile: false } }],
  runner: { describe, test },
  below: '/dev/shm',
})
