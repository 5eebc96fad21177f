import { describe, test } from 'vitest'
import { storageDriverSuite } from '../../../src/testing/index.ts'
import { fuseOverlayfsStorage } from './index.ts'

storageDriverSuite({
  definition: fuseOverlayfsStorage,
  runner: { describe, test },
  depth: 24,
  skip: [
    {
      test: 'keeps names that other drivers use for whiteouts',
      reason: 'fuse-overlayfs hides every name that begins with .wh., which no layer can hold either',
    },
  ],
})
