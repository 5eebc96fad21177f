import { layerErrors } from '../errors/layer-errors.ts'
import { defaultLayerLimits, type LayerLimits } from './layer-limits.ts'
import { parsePaxRecords } from './pax-records.ts'
import { GnuSparseMap, PaxSparseMap, sparseFromPax } from './sparse-map.ts'
import type { SparseExtent, TarEntry, TarEntryType, TarVisitor } from './tar-entry.ts'
import { blockSize, isZeroBlock, parseHeader, type TarHeader } from './tar-header.ts'
import { parseDecimal, parseTime } from './tar-numbers.ts'

const types: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  D: 'directory',
  '6': 'fifo',
}

type Pax = Map<string, Buffer>

/** What the bytes that come next are. */
type State =
  | { readonly at: 'header' }
  | { readonly at: 'meta'; readonly kind: 'pax' | 'global' | 'name' | 'link'; readonly parts: Buffer[]; left: number }
  | { readonly at: 'gnu-map'; readonly header: TarHeader; readonly map: GnuSparseMap }
  | { readonly at: 'pax-map'; readonly header: TarHeader; readonly map: PaxSparseMap; left: number }
  | { readonly at: 'body'; left: number; readonly visible: boolean }
  | { readonly at: 'padding'; left: number }
  | { readonly at: 'finished' }

/**
 * Takes a tar apart, whatever pieces it comes in: ustar, GNU (long names, sparse, base-256) and PAX (global and local
 * headers, xattrs, sparse 0.0, 0.1 and 1.0). Names and values stay bytes. Synchronous, so that it can run under a chroot.
 */
export class TarParser {
  readonly #visitor: TarVisitor
  readonly #limits: LayerLimits
  #state: State = { at: 'header' }
  #held: Buffer = Buffer.alloc(0)
  #global: Pax = new Map()
  #pax: Pax | null = null
  #longName: Buffer | null = null
  #longLink: Buffer | null = null
  #entries = 0
  #fileBytes = 0
  #zeroBlocks = 0

  constructor(visitor: TarVisitor, limits: LayerLimits = defaultLayerLimits) {
    this.#visitor = visitor
    this.#limits = limits
  }

  get entries(): number {
    return this.#entries
  }

  /** Of regular files, holes included. */
  get fileBytes(): number {
    return this.#fileBytes
  }

  push(chunk: Buffer): void {
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk
    this.#held = rest.subarray(0, 0)
    while (rest.length > 0) {
      const used = this.#step(rest)
      if (used === 0) {
        this.#held = Buffer.from(rest)
        return
      }
      rest = rest.subarray(used)
    }
  }

  /** Call at the end of the input. @throws layer.truncated when it ends inside an entry */
  finish(): void {
    const { at } = this.#state
    if (
      at === 'finished' ||
      (at === 'header' && this.#held.length === 0 && !this.#pax && !this.#longName && !this.#longLink)
    )
      return
    // The last file's padding is often left out.
    if (at === 'padding') return
    throw layerErrors.error('truncated', {
      message: `The tar ends in the middle, after ${this.#entries} entries. Get it again.`,
    })
  }

  /** Handles the beginning of `bytes`; gives how much of it, 0 when more is needed. */
  #step(bytes: Buffer): number {
    const state = this.#state
    switch (state.at) {
      case 'finished':
        return bytes.length
      case 'header':
        return bytes.length < blockSize ? 0 : this.#header(bytes.subarray(0, blockSize))
      case 'padding': {
        const used = Math.min(state.left, bytes.length)
        state.left -= used
        if (state.left === 0) this.#state = { at: 'header' }
        return used
      }
      case 'meta': {
        const used = Math.min(state.left, bytes.length)
        state.parts.push(Buffer.from(bytes.subarray(0, used)))
        state.left -= used
        if (state.left === 0) this.#meta(state.kind, Buffer.concat(state.parts))
        return used
      }
      case 'gnu-map':
        if (bytes.length < blockSize) return 0
        if (!state.map.extend(bytes.subarray(0, blockSize)))
          this.#begin(state.header, state.map.extents, state.map.size, state.header.size)
        return blockSize
      case 'pax-map':
        if (bytes.length < blockSize) return 0
        state.left -= blockSize
        if (state.left < 0) throw malformed('the map of a sparse file is longer than its data')
        if (!state.map.extend(bytes.subarray(0, blockSize)))
          this.#begin(state.header, state.map.extents, null, state.left)
        return blockSize
      case 'body': {
        const used = Math.min(state.left, bytes.length)
        if (state.visible) this.#visitor.data(bytes.subarray(0, used))
        state.left -= used
        if (state.left === 0) this.#visitor.end()
        if (state.left === 0) this.#state = { at: 'header' }
        if (state.left === 0 && this.#afterBody > 0) this.#pad(this.#afterBody)
        return used
      }
    }
  }

  #afterBody = 0

  #pad(left: number): void {
    this.#state = left > 0 ? { at: 'padding', left } : { at: 'header' }
  }

  #header(block: Buffer): number {
    if (isZeroBlock(block)) {
      this.#zeroBlocks++
      if (this.#zeroBlocks === 2) this.#state = { at: 'finished' }
      return blockSize
    }
    this.#zeroBlocks = 0
    const header = parseHeader(block)
    const metas = { x: 'pax', g: 'global', L: 'name', K: 'link' } as const
    const kind = Object.hasOwn(metas, header.type) ? metas[header.type as keyof typeof metas] : null
    if (kind) {
      if (header.size < 0) throw malformed('an extended header has a negative size')
      if (header.size === 0) return blockSize
      if (header.size > this.#limits.headerBytes)
        throw this.#tooLarge('extended header', header.size, this.#limits.headerBytes)
      this.#state = { at: 'meta', kind, parts: [], left: header.size }
      this.#afterBody = padding(header.size)
      return blockSize
    }
    this.#contents(header, block)
    return blockSize
  }

  #meta(kind: 'pax' | 'global' | 'name' | 'link', body: Buffer): void {
    const bare = () => body.subarray(0, body.indexOf(0) < 0 ? body.length : body.indexOf(0))
    if (kind === 'name') this.#longName = bare()
    else if (kind === 'link') this.#longLink = bare()
    else {
      const into = kind === 'global' ? this.#global : new Map<string, Buffer>()
      const sparse: Buffer[] = []
      for (const [key, value] of parsePaxRecords(body)) {
        // 0.0 repeats these keys; the order of the pairs is what counts.
        if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') sparse.push(value)
        else into.set(key, value)
      }
      if (sparse.length > 0)
        into.set('GNU.sparse.map', Buffer.from(sparse.map((value) => value.toString('latin1')).join(',')))
      if (kind === 'pax') this.#pax = into
    }
    this.#pad(this.#afterBody)
  }

  #contents(header: TarHeader, block: Buffer): void {
    const size = this.#paxValue('size')
    const actual = size ? { ...header, size: parseDecimal(size.toString('latin1'), 'size') } : header
    if (actual.size < 0) throw malformed('an entry has a negative size')
    if (header.type === 'S') {
      const map = new GnuSparseMap(block)
      if (map.incomplete) this.#state = { at: 'gnu-map', header: actual, map }
      else this.#begin(actual, map.extents, map.size, actual.size)
      return
    }
    if (this.#paxValue('GNU.sparse.major')?.toString('latin1') === '1') {
      this.#state = { at: 'pax-map', header: actual, map: new PaxSparseMap(), left: actual.size }
      return
    }
    this.#begin(actual, sparseFromPax(this.#paxValue('GNU.sparse.map')), null, actual.size)
  }

  /** `stored` is how many bytes of data follow. */
  #begin(header: TarHeader, sparse: readonly SparseExtent[] | null, sparseSize: number | null, stored: number): void {
    const entry = this.#entry(header, sparse, sparseSize)
    // Links, devices and directories may state a size, but no data follows.
    const body = entry === null || entry.type === 'file' || dataTypes.has(header.type) ? stored : 0
    this.#pax = null
    this.#longName = null
    this.#longLink = null
    if (++this.#entries > this.#limits.entries)
      throw this.#tooLarge('number of entries', this.#entries, this.#limits.entries)
    if (entry && sparse && sparse.reduce((sum, { length }) => sum + length, 0) !== stored)
      throw malformed(`the map of the sparse file ${entry.path} does not fit its data`)
    if (entry?.type === 'file') this.#fileBytes += entry.size
    if (entry) this.#visitor.entry(entry)
    this.#afterBody = padding(body)
    if (body > 0) this.#state = { at: 'body', left: body, visible: entry?.type === 'file' }
    else {
      if (entry) this.#visitor.end()
      this.#state = { at: 'header' }
    }
  }

  /** Null for what is no file: a volume label. */
  #entry(header: TarHeader, sparse: readonly SparseExtent[] | null, sparseSize: number | null): TarEntry | null {
    if (header.type === 'V') return null
    const path = this.#paxValue('GNU.sparse.name') ?? this.#paxValue('path') ?? this.#longName ?? header.name
    const link = this.#paxValue('linkpath') ?? this.#longLink ?? header.link
    // Before ustar, directories were files whose name ends with a slash.
    const type = header.type === '0' && path.at(-1) === 0x2f ? 'directory' : types[header.type]
    if (!type)
      throw layerErrors.error('unsupported_entry', {
        message: `The entry ${path} has the type ${JSON.stringify(header.type)}, which layers do not have.`,
      })
    const real = this.#paxValue('GNU.sparse.realsize') ?? (sparse ? this.#paxValue('GNU.sparse.size') : undefined)
    const size = sparseSize ?? (real ? parseDecimal(real.toString('latin1'), 'GNU.sparse.realsize') : header.size)
    if (size > this.#limits.fileBytes) throw this.#tooLarge(`size of ${path}`, size, this.#limits.fileBytes)
    const number = (key: string, otherwise: number) => {
      const value = this.#paxValue(key)
      return value ? parseDecimal(value.toString('latin1'), key) : otherwise
    }
    const mtime = this.#paxValue('mtime')
    return {
      type,
      path,
      link,
      mode: header.mode,
      uid: number('uid', header.uid),
      gid: number('gid', header.gid),
      size: type === 'file' ? size : 0,
      mtime: mtime ? parseTime(mtime.toString('latin1')) : { seconds: header.mtime, nanoseconds: 0 },
      device: { major: header.major, minor: header.minor },
      xattrs: this.#xattrs(),
      sparse: type === 'file' ? sparse : null,
    }
  }

  #xattrs(): ReadonlyMap<string, Buffer> {
    if (!this.#pax && this.#global.size === 0) return noXattrs
    const found = new Map<string, Buffer>()
    for (const pax of [this.#global, this.#pax])
      for (const [key, value] of pax ?? [])
        if (key.startsWith(xattrPrefix)) found.set(key.slice(xattrPrefix.length), value)
    return found
  }

  #paxValue(key: string): Buffer | undefined {
    const value = this.#pax?.get(key) ?? this.#global.get(key)
    return value && value.length > 0 ? value : undefined
  }

  #tooLarge(what: string, value: number, limit: number) {
    return layerErrors.error('limit_exceeded', {
      message: `The layer's ${what} is ${value}; the limit is ${limit}. Raise it if you trust the source.`,
      details: { value, limit },
    })
  }
}

const malformed = (why: string) => layerErrors.error('malformed', { message: `The tar is damaged: ${why}.` })

/** Types whose entries have data, whatever their names make of them. */
const dataTypes: ReadonlySet<string> = new Set(['0', '7', 'S', 'D'])
const xattrPrefix = 'SCHILY.xattr.'
const noXattrs: ReadonlyMap<string, Buffer> = new Map()
const padding = (size: number): number => (blockSize - (size % blockSize)) % blockSize
