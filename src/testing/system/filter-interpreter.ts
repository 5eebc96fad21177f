import { bpf } from '../../runtime/seccomp/bpf-program.ts'

export interface SystemCall {
  /** As in linux/audit.h. */
  readonly architecture: number
  readonly number: number
  readonly args: readonly bigint[]
}

/**
 * What a filter answers to a call, computed as the kernel does; for tests and for showing what a profile does.
 * Fails on whatever a filter for seccomp(2) may not hold.
 */
export function runFilter(filter: Uint8Array, call: SystemCall): number {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call.number >>> 0, 0)
  data.writeUInt32LE(call.architecture >>> 0, 4)
  for (const [index, arg] of call.args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, arg), 16 + 8 * index)
  const code = Buffer.from(filter.buffer, filter.byteOffset, filter.byteLength)
  let accumulator = 0
  for (let at = 0; at * 8 < code.length; at++) {
    const operation = code.readUInt16LE(at * 8)
    const k = code.readUInt32LE(at * 8 + 4)
    const jump = (holds: boolean) => {
      at += code.readUInt8(at * 8 + (holds ? 2 : 3))
    }
    if (operation === bpf.load) accumulator = data.readUInt32LE(k)
    else if (operation === bpf.and) accumulator = (accumulator & k) >>> 0
    else if (operation === bpf.jump) at += k
    else if (operation === bpf.equal) jump(accumulator === k)
    else if (operation === bpf.greater) jump(accumulator > k)
    else if (operation === bpf.greaterOrEqual) jump(accumulator >= k)
    else if (operation === bpf.return) return k
    else throw new RangeError(`instruction ${at} has the unknown code ${operation}`)
  }
  throw new RangeError('the filter runs off its end')
}
