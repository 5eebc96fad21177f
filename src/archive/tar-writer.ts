import { tarBlock } from './tar-header.ts'

/** What a tar of ours holds: plain files and directories with fixed owners, modes and times. */
export interface TarItem {
  /** At most 100 bytes; directories end in a slash. */
  readonly path: string
  readonly size: number
}

/**
 * The header of an item. Owners are 0 and times the epoch, and every byte is decided here, so the same items make the
 * same archive in all versions. Source: POSIX.1-2017, pax, "ustar Interchange Format"; sizes from 8 GiB on in GNU's base
 * 256.
 */
export function tarHeader({ path, size }: TarItem): Buffer {
  const block = Buffer.alloc(tarBlock)
  const isDirectory = path.endsWith('/')
  if (Buffer.byteLength(path) > 100) throw new RangeError(`the path ${path} does not fit into a tar header`)
  block.write(path, 0)
  octal(block, 100, 8, isDirectory ? 0o755 : 0o644)
  octal(block, 108, 8, 0)
  octal(block, 116, 8, 0)
  if (size < 8 ** 11) octal(block, 124, 12, size)
  else {
    block[124] = 0x80
    block.writeBigUInt64BE(BigInt(size), 128)
  }
  octal(block, 136, 12, 0)
  block.write('        ', 148)
  block.write(isDirectory ? '5' : '0', 156)
  block.write('ustar\x0000', 257)
  octal(block, 329, 8, 0)
  octal(block, 337, 8, 0)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** Zeros that fill the last block of a body. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((tarBlock - (size % tarBlock)) % tarBlock)

/** Two blocks of zeros. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * tarBlock)

const octal = (block: Buffer, at: number, length: number, value: number) =>
  block.write(value.toString(8).padStart(length - 1, '0'), at)
