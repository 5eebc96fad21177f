/** Opcodes of classic BPF that filters use. Source: linux/bpf_common.h. */
export const bpf = {
  /** A = 32 bits of the call's description at an offset. */
  load: 0x20,
  /** A &= k. */
  and: 0x54,
  jump: 0x05,
  equal: 0x15,
  greater: 0x25,
  greaterOrEqual: 0x35,
  return: 0x06,
} as const

export interface BpfInstruction {
  readonly code: number
  /** Instructions to skip when the comparison holds. */
  readonly jt: number
  /** And when it does not. */
  readonly jf: number
  readonly k: number
}

/** A piece of a program; it ends with a return on every path, so pieces can stand one after another. */
export type BpfPiece = readonly BpfInstruction[]

export const statement = (code: number, k: number): BpfInstruction => ({ code, jt: 0, jf: 0, k })
export const compare = (code: number, k: number, jt: number, jf: number): BpfInstruction => ({ code, jt, jf, k })

/** `condition ? whenTrue : whenFalse`; far jumps go through an unconditional one, because offsets have eight bits. */
export function branch(code: number, k: number, whenTrue: BpfPiece, whenFalse: BpfPiece): BpfPiece {
  const near = whenFalse.length <= 255
  const head = near
    ? [compare(code, k, whenFalse.length, 0)]
    : [compare(code, k, 0, 1), statement(bpf.jump, whenFalse.length)]
  return [...head, ...whenFalse, ...whenTrue]
}

/** The kernel's limit, BPF_MAXINSNS. */
export const longestProgram = 4096

/** `struct sock_filter` of each instruction, in the byte order of the machines we compile for. */
export function encodeProgram(program: BpfPiece): Uint8Array {
  if (program.length > longestProgram) throw new RangeError(`a filter of ${program.length} instructions is too long`)
  const bytes = Buffer.alloc(program.length * 8)
  for (const [index, { code, jt, jf, k }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(jt, index * 8 + 2)
    bytes.writeUInt8(jf, index * 8 + 3)
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4)
  }
  return bytes
}
