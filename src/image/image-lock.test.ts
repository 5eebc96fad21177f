import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { parseReference } from '../reference/reference.ts'
import { ImageLock } from './image-lock.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'image-lock-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('a symbolic link stays one: what it leads to is rewritten', async () => {
  const [file, real] = [join(directory, 'images.lock.json'), join(directory, 'shared', 'lock.json')]
  mkdirSync(join(directory, 'shared'))
  writeFileSync(real, '{ "version": 1, "images": {} }')
  symlinkSync(real, file)
  const lock = new ImageLock({ file })
  const digest = digestOf('x')
  await lock.pin(parseReference('busybox:1'), digest)
  expect(lstatSync(file).isSymbolicLink()).toBe(true)
  expect(readFileSync(real, 'utf8')).toContain(digest)
  expect(new ImageLock({ file: real }).digestOf(parseReference('busybox:1'))).toBe(digest)
  expect(readdirSync(directory).sort()).toEqual(['images.lock.json', 'shared'])
  expect(readdirSync(join(directory, 'shared'))).toEqual(['lock.json'])
})
