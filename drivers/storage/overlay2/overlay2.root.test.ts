import { describe, test } from 'vitest'
import { storageDriverSuite } from '../../../src/testing/index.ts'
import { overlay2Storage } from './index.ts'

storageDriverSuite({
  definition: overlay2Storage,
  variants: [
    { name: 'default options', options: undefined },
    { name: 'marks in user.overlay.*', options: { userXattrs: true, volatile: false } },
  ],
  runner: { describe, test },
  require: ['changeHint'],
})
