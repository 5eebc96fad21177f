import type { ContainerId } from '../driver-kit/ids.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { Operation } from '../progress/operation.ts'
import type { Parts } from './wiring.ts'
export function exportContainer(
  _p: Parts,
  _i: ContainerId,
  _t: string | NodeJS.WritableStream,
  _c?: CallOptions,
): Operation<void> {
  throw new Error('being written')
}
