import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { errnoOf } from '../errors/host-errors.ts'
import { closeQuietly, createPipe, drainNonBlocking, makeFifo, openFifo, setPipeCapacity } from './pipe.ts'
import { getPipeSize, setNonBlocking } from './syscall/descriptor.ts'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'pipe-'))
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

const caught = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return error
  }
  return null
}

describe('pipes', () => {
  test('carry bytes, are not inherited, and grow', () => {
    const { read, write } = createPipe()
    expect(setPipeCapacity(write, 300_000)).toBe(524_288)
    expect(getPipeSize(read)).toBe(524_288)
    const { stdout } = spawnSync('sh', ['-c', 'ls /proc/$$/fd'])
    expect(stdout.toString().split('\n')).not.toContain(String(read))
    setNonBlocking(read, true)
    expect(drainNonBlocking(read).length).toBe(0)
    writeSync(write, Buffer.alloc(200_000, 'x'))
    expect(drainNonBlocking(read, 100).length).toBe(100)
    expect(drainNonBlocking(read).length).toBe(199_900)
    closeSync(write)
    expect(drainNonBlocking(read).length).toBe(0)
    closeSync(read)
    closeQuietly(read)
  })

  test('named ones', () => {
    const path = join(scratch, 'fifo')
    makeFifo(path)
    expect(statSync(path).isFIFO()).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(errnoOf(caught(() => makeFifo(path)))).toBe('EEXIST')
    expect(errnoOf(caught(() => openFifo(path, 'write')))).toBe('ENXIO')
    const before = readdirSync('/proc/self/fd').length
    const both = openFifo(path, 'both')
    const write = openFifo(path, 'write')
    writeSync(write, 'text')
    closeSync(write)
    // Being its own writer it meets no end of file.
    expect(Buffer.from(drainNonBlocking(both)).toString()).toBe('text')
    expect(drainNonBlocking(both).length).toBe(0)
    closeSync(both)
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })
})
