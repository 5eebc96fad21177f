import { layerErrors } from '../errors/layer-errors.ts'
import type { SparseExtent } from './tar-entry.ts'
import { parseDecimal, parseNumber } from './tar-numbers.ts'

/** A map with more stretches than this is hostile. */
const maxExtents = 1 << 20

const malformed = (why: string) =>
  layerErrors.error('malformed', { message: `The tar is damaged: the map of a sparse file ${why}.` })

/** GNU's old format: four stretches in the header, 21 in each block after it (GNU tar manual, "Old GNU format"). */
export class GnuSparseMap {
  readonly extents: SparseExtent[] = []
  /** Bytes with holes. */
  readonly size: number
  incomplete: boolean

  constructor(header: Buffer) {
    this.#read(header, 386, 4)
    this.incomplete = header[482] !== 0
    this.size = parseNumber(header.subarray(483, 495), 'realsize')
  }

  /** Takes an extension block; false when it was the last. */
  extend(block: Buffer): boolean {
    this.#read(block, 0, 21)
    this.incomplete = block[504] !== 0
    return this.incomplete
  }

  #read(block: Buffer, at: number, count: number): void {
    for (let index = 0; index < count; index++) {
      const start = at + index * 24
      const field = block.subarray(start, start + 24)
      if (field[0] === 0 && field[12] === 0) return
      add(this.extents, parseNumber(field.subarray(0, 12), 'offset'), parseNumber(field.subarray(12), 'numbytes'))
    }
  }
}

/** PAX format 1.0: decimal lines at the beginning of the data, padded to blocks. */
export class PaxSparseMap {
  readonly extents: SparseExtent[] = []
  #text = ''
  #numbers: number[] = []

  /** Takes a block; false when the map is complete. */
  extend(block: Buffer): boolean {
    this.#text += block.toString('latin1')
    const lines = this.#text.split('\n')
    this.#text = lines.pop()!
    for (const line of lines) {
      if (this.#complete) break
      this.#numbers.push(parseDecimal(line, 'GNU.sparse map'))
    }
    const [count] = this.#numbers
    if (count !== undefined && (count < 0 || count > maxExtents)) throw malformed(`has ${count} stretches`)
    if (!this.#complete) {
      return true
    }
    for (let index = 1; index < this.#numbers.length; index += 2)
      add(this.extents, this.#numbers[index]!, this.#numbers[index + 1]!)
    return false
  }

  get #complete(): boolean {
    return this.#numbers.length > 0 && this.#numbers.length >= 1 + this.#numbers[0]! * 2
  }
}

/** PAX formats 0.0 and 0.1: a list of numbers in a record. */
export function sparseFromPax(map: Buffer | undefined): SparseExtent[] | null {
  if (!map) return null
  const numbers = map
    .toString('latin1')
    .split(',')
    .map((text) => parseDecimal(text, 'GNU.sparse.map'))
  if (numbers.length % 2 !== 0) throw malformed('has an odd number of fields')
  const extents: SparseExtent[] = []
  for (let index = 0; index < numbers.length; index += 2) add(extents, numbers[index]!, numbers[index + 1]!)
  return extents
}

function add(extents: SparseExtent[], offset: number, length: number): void {
  const last = extents.at(-1)
  if (offset < 0 || length < 0 || (last && offset < last.offset + last.length)) throw malformed('runs backwards')
  if (extents.length >= maxExtents) throw malformed(`has more than ${maxExtents} stretches`)
  if (length > 0) extents.push({ offset, length })
}
