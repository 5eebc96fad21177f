import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockHandle } from '../host/file-lock.ts'
import { editConfig } from './edit-config.ts'

let directory: string
let file: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'edit-config-'))
  file = join(directory, 'docker', 'config.json')
})
afterEach(() => rmSync(directory, { recursive: true }))

const read = () => JSON.parse(readFileSync(file, 'utf8')) as { auths: Record<string, unknown> }
const child = join(import.meta.dirname, 'edit-config-child.ts')

test('several processes lose nothing of each other', async () => {
  const rounds = 15
  const names = ['a', 'b', 'c']
  await Promise.all(
    names.map((name) =>
      promisify(execFile)(process.execPath, ['--conditions=tscontainer-source', child, file, name, String(rounds)]),
    ),
  )
  const expected = names.flatMap((name) => Array.from({ length: rounds }, (_, round) => `${name}-${round}.example`))
  expect(Object.keys(read().auths).sort()).toEqual(expected.sort())
  expect(readdirSync(join(directory, 'docker'))).toEqual(['config.json'])
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('what a program without our lock writes meanwhile is kept', async () => {
  mkdirSync(join(directory, 'docker'))
  let calls = 0
  await editConfig(file, (auths) => {
    if (calls++ < 2) writeFileSync(file, JSON.stringify({ psFormat: 'x', auths: { [`other-${calls}`]: {} } }))
    return { ...auths, own: {} }
  })
  expect(calls).toBe(3)
  expect(read()).toEqual({ psFormat: 'x', auths: { 'other-2': {}, own: {} } })
  expect(readdirSync(join(directory, 'docker'))).toEqual(['config.json'])
})

test('who waits for another one can be aborted, and the draft of one that was killed is no hindrance', async () => {
  mkdirSync(join(directory, 'docker'))
  writeFileSync(`${file}.${process.pid}.new`, 'half')
  {
    await using other = await open(join(directory, 'docker'))
    expect(lockHandle(other)).toBe(true)
    const edit = editConfig(file, (auths) => auths, { signal: AbortSignal.timeout(50) })
    await expect(edit).rejects.toMatchObject({ kind: 'aborted' })
  }
  await editConfig(file, (auths) => ({ ...auths, own: {} }))
  expect(read()).toEqual({ auths: { own: {} } })
  expect(readdirSync(join(directory, 'docker'))).toEqual(['config.json'])
})
