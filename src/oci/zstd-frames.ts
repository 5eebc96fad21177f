/** A part of a compressed frame; `last`: the frame ends with it. */
export interface FramePiece {
  readonly bytes: Uint8Array
  readonly last: boolean
}

const dataMagic = 0xfd2fb528
const contentSizeLengths = [0, 2, 4, 8]
const dictionaryLengths = [0, 1, 2, 4]

type State = 'magic' | 'skip-size' | 'skip' | 'descriptor' | 'header' | 'block' | 'body' | 'checksum'

/**
 * Cuts a zstd stream into its frames and drops skippable ones. Node's decompressor stops after the first frame without
 * an error, while zstd:chunked layers and parallel compressors write many. Source: RFC 8878, section 3.1.
 */
export class ZstdFrames {
  #state: State = 'magic'
  /** Bytes the state still wants. */
  #need = 4
  /** The last bytes of a field that chunks may cut in two. */
  #field: number[] = []
  #lastBlock = false
  #hasChecksum = false

  /** True between frames: the only place where a stream may end. */
  get complete(): boolean {
    return this.#state === 'magic' && this.#field.length === 0
  }

  /** @throws RangeError when a frame begins with something else */
  *push(chunk: Uint8Array): Generator<FramePiece> {
    let start = this.#isOutside ? chunk.length : 0
    for (let at = 0; at < chunk.length; ) {
      if (this.#state === 'skip' || this.#state === 'body') {
        const taken = Math.min(this.#need, chunk.length - at)
        at += taken
        this.#need -= taken
        if (this.#need > 0) break
      } else {
        this.#field.push(chunk[at++]!)
        if (--this.#need > 0) continue
      }
      const before = this.#state
      const field = this.#field
      const last = this.#advance()
      if (before === 'magic' && this.#state === 'descriptor') {
        yield { bytes: Uint8Array.from(field), last: false }
        start = at
      }
      if (last) {
        yield { bytes: chunk.subarray(start, at), last: true }
        start = chunk.length
      }
    }
    if (!this.#isOutside && start < chunk.length) yield { bytes: chunk.subarray(start), last: false }
  }

  get #isOutside(): boolean {
    return this.#state === 'magic' || this.#state === 'skip-size' || this.#state === 'skip'
  }

  /** The state's bytes are complete: goes to the next one. True at the end of a frame. */
  #advance(): boolean {
    const field = this.#field
    this.#field = []
    const little = field.reduceRight((value, byte) => value * 256 + byte, 0)
    switch (this.#state) {
      case 'magic':
        if (little === dataMagic) this.#go('descriptor', 1)
        else if (little >>> 4 === 0x184d2a5) this.#go('skip-size', 4)
        else throw new RangeError('not a zstd frame')
        return false
      case 'skip-size':
        if (little === 0) this.#go('magic', 4)
        else this.#go('skip', little)
        return false
      case 'skip':
        this.#go('magic', 4)
        return false
      case 'descriptor': {
        const single = (little & 0x20) !== 0
        this.#hasChecksum = (little & 0x04) !== 0
        const sizeFlag = little >> 6
        const size = sizeFlag === 0 && single ? 1 : contentSizeLengths[sizeFlag]!
        const length = (single ? 0 : 1) + dictionaryLengths[little & 3]! + size
        if (length === 0) this.#go('block', 3)
        else this.#go('header', length)
        return false
      }
      case 'header':
        this.#go('block', 3)
        return false
      case 'block': {
        this.#lastBlock = (little & 1) === 1
        const type = (little >> 1) & 3
        const size = type === 1 ? 1 : little >>> 3
        if (size > 0) {
          this.#go('body', size)
          return false
        }
        return this.#afterBlock()
      }
      case 'body':
        return this.#afterBlock()
      case 'checksum':
        this.#go('magic', 4)
        return true
    }
  }

  #afterBlock(): boolean {
    if (!this.#lastBlock) this.#go('block', 3)
    else if (this.#hasChecksum) this.#go('checksum', 4)
    else {
      this.#go('magic', 4)
      return true
    }
    return false
  }

  #go(state: State, need: number): void {
    this.#state = state
    this.#need = need
  }
}
