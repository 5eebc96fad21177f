import { layerErrors } from '../errors/layer-errors.ts'
import { parseNumber } from './tar-numbers.ts'

export const blockSize = 512

/** A header block as it stands; extended headers may overrule it. Layout: POSIX.1-1988 ustar, and GNU's variant. */
export interface TarHeader {
  readonly name: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly type: string
  readonly link: Buffer
  readonly major: number
  readonly minor: number
}

const untilNul = (field: Buffer): Buffer => {
  const end = field.indexOf(0)
  return end < 0 ? field : field.subarray(0, end)
}

export const isZeroBlock = (block: Buffer): boolean => block.equals(zeroBlock)
const zeroBlock = Buffer.alloc(blockSize)

/** @throws layer.malformed for a wrong checksum or number */
export function parseHeader(block: Buffer): TarHeader {
  checkSum(block)
  const isGnu = block.toString('latin1', 257, 265) === 'ustar  \0'
  const isUstar = !isGnu && block.toString('latin1', 257, 262) === 'ustar'
  // star's variant has times after a shorter prefix.
  const prefixEnd = block.toString('latin1', 508, 511) === 'tar' ? 476 : 500
  const prefix = isUstar ? untilNul(block.subarray(345, prefixEnd)) : null
  const name = untilNul(block.subarray(0, 100))
  const type = block[156] === 0 ? '0' : String.fromCharCode(block[156]!)
  const isDevice = type === '3' || type === '4'
  return {
    name: Buffer.from(prefix && prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name),
    mode: parseNumber(block.subarray(100, 108), 'mode') & 0o7777,
    uid: parseNumber(block.subarray(108, 116), 'uid'),
    gid: parseNumber(block.subarray(116, 124), 'gid'),
    size: parseNumber(block.subarray(124, 136), 'size'),
    mtime: parseNumber(block.subarray(136, 148), 'mtime'),
    type,
    link: Buffer.from(untilNul(block.subarray(157, 257))),
    major: isDevice ? parseNumber(block.subarray(329, 337), 'devmajor') : 0,
    minor: isDevice ? parseNumber(block.subarray(337, 345), 'devminor') : 0,
  }
}

// The sum of all bytes, its own field counted as spaces; old writers added signed bytes.
function checkSum(block: Buffer): void {
  const wanted = parseNumber(block.subarray(148, 156), 'checksum')
  let unsigned = 0
  let signed = 0
  for (let at = 0; at < blockSize; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : block[at]!
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  if (wanted !== unsigned && wanted !== signed)
    throw layerErrors.error('malformed', {
      message: `The tar is damaged: a header has the checksum ${unsigned} and says ${wanted}.`,
    })
}
