import { expectTypeOf, test } from 'vitest'
import type { DriverHost } from '../driver-kit/driver-host.ts'
import type { Host } from './host.ts'

test('the host is what drivers are handed', () => {
  expectTypeOf<Host>().toExtend<DriverHost>()
})
