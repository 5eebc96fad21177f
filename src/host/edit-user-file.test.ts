import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { editUserFile } from './edit-user-file.ts'

let directory: string
let file: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edit-user-file-'))
  file = join(directory, 'file')
})
afterEach(() => rmSync(directory, { recursive: true }))

const modeOf = (path: string) => statSync(path).mode & 0o777

describe('permissions', () => {
  test.each([
    ['shared', 0o664, 0o664],
    ['private', 0o664, 0o600],
  ] as const)('%s: a file with %o has %o then', async (access, before, after) => {
    writeFileSync(file, 'old')
    chmodSync(file, before)
    await editUserFile(file, () => 'new', { access })
    expect([readFileSync(file, 'utf8'), modeOf(file)]).toEqual(['new', after])
  })

  test('a new file is readable as the umask says, or by its owner alone', async () => {
    writeFileSync(join(directory, 'usual'), '')
    await editUserFile(file, () => 'new', { access: 'shared' })
    expect(modeOf(file)).toBe(modeOf(join(directory, 'usual')))
    rmSync(file)
    await editUserFile(file, () => 'new', { access: 'private' })
    expect(modeOf(file)).toBe(0o600)
  })
})

test('a link stays one, and nothing but the file is left', async () => {
  const link = join(directory, 'link')
  writeFileSync(file, 'old')
  symlinkSync('file', link)
  writeFileSync(`${file}.${process.pid}.new`, 'of one that was killed')
  await editUserFile(link, () => `${readFileSync(link, 'utf8')} and new`, { access: 'shared' })
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  expect(readFileSync(file, 'utf8')).toBe('old and new')
  expect(readdirSync(directory).sort()).toEqual(['file', 'link'])
})

test('what somebody else writes meanwhile is not lost', async () => {
  writeFileSync(file, '1')
  let looked = 0
  const make = () => {
    const text = `${readFileSync(file, 'utf8')}+`
    if (++looked === 1) writeFileSync(file, '22')
    return text
  }
  await editUserFile(file, make, { access: 'shared' })
  expect([readFileSync(file, 'utf8'), looked]).toEqual(['22+', 2])
})

test('a failure leaves the file and no draft', async () => {
  writeFileSync(file, 'old')
  const broken = () => {
    throw new Error('on purpose')
  }
  await expect(editUserFile(file, broken, { access: 'shared' })).rejects.toThrow('on purpose')
  await expect(editUserFile(join(directory, 'none/file'), () => '', { access: 'shared' })).rejects.toMatchObject({
    code: 'ENOENT',
  })
  expect([readFileSync(file, 'utf8'), readdirSync(directory)]).toEqual(['old', ['file']])
})
