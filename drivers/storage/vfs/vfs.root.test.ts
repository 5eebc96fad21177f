import { describe, test } from 'vitest'
import { storageDriverSuite } from '../../../src/testing/index.ts'
import { vfsStorage } from './index.ts'

storageDriverSuite({ definition: vfsStorage, runner: { describe, test }, require: ['changeHint'] })
