import { readFile } from 'node:fs/promises'
import type { LogFile } from './log-file.ts'

/** A place in the file where a line begins, and how many entries lie before it. */
export interface Position {
  readonly offset: number
  readonly sequence: number
}

/** Beside a log of more than this size lies a list of positions this far apart. */
export const positionSpacing = 1 << 20

export const positionsPath = (logPath: string): string => `${logPath}.index`

export const formatPosition = ({ offset, sequence }: Position): string => `${offset} ${sequence}\n`

/**
 * Where entries lie, so that finding one, or counting them, needs no reading of the whole file. Only a short cut: what
 * the list lacks is counted.
 */
export class Positions {
  readonly #known: Position[] = [{ offset: 0, sequence: 0 }]

  /** From the list beside a log of `size` bytes; what a crash left torn or too new in it is passed over. */
  static async load(path: string, size: number): Promise<Positions> {
    const positions = new Positions()
    if (size < positionSpacing) return positions
    const text = await readFile(positionsPath(path), 'utf8').catch(() => '')
    for (const match of text.matchAll(/^(\d+) (\d+)\n/gm)) {
      const position = { offset: Number(match[1]), sequence: Number(match[2]) }
      if (position.offset > size) break
      positions.add(position)
    }
    return positions
  }

  get last(): Position {
    return this.#known.at(-1)!
  }

  /** Keeps it when it lies behind all others. */
  add(position: Position): void {
    if (position.offset > this.last.offset && position.sequence > this.last.sequence) this.#known.push(position)
  }

  /** The position of entry `sequence` + 1, or `end` when that is not written yet. */
  async ofSequence(file: LogFile, sequence: number, end: number): Promise<Position> {
    const near = this.#known.findLast((position) => position.sequence <= sequence && position.offset <= end)!
    let skip = sequence - near.sequence
    if (skip === 0) return near
    for await (const lines of file.forward(near.offset, end)) {
      const next = lines[skip]
      if (next) return { offset: next.offset, sequence }
      skip -= lines.length
      const last = lines.at(-1)!
      if (skip === 0) return { offset: last.next, sequence }
    }
    return { offset: end, sequence: sequence - skip }
  }

  /** How many entries lie before `offset`, where a line begins. */
  async ofOffset(file: LogFile, offset: number): Promise<Position> {
    const near = this.#known.findLast((position) => position.offset <= offset)!
    return { offset, sequence: near.sequence + (await file.countLines(near.offset, offset)) }
  }
}
