import { describe, test } from 'node:test'
import { storageDriverSuite } from 'tscontainer/testing'
import { copy } from '../dist/index.js'

// Needs root, as every storage driver does: the suite mounts what the driver says.
storageDriverSuite({
  definition: copy,
  variants: [
    { name: 'sharing blocks where it can', options: {} },
    { name: 'copying every byte', options: { reflink: 'never' } },
  ],
  runner: { describe, test },
})
