import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { type ContentFixture, contentFixture } from '../testing/system/content-fixture.ts'

// A root on a file system of 3 MB: what does not fit really does not fit.
let directory: string
let fixture: ContentFixture
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', directory])
  fixture = contentFixture({ root: join(directory, 'root'), scratch: directory })
})
afterEach(async () => {
  await fixture[Symbol.asyncDispose]()
  execFileSync('umount', [directory])
  rmSync(directory, { recursive: true })
})

const megabytes = async function* (count: number) {
  for (let at = 0; at < count; at++) yield Buffer.alloc(1 << 20, at)
}

test.each([undefined, 'resumable'])('a full disk refuses the blob and takes its partial away (ref %s)', async (ref) => {
  const lease = fixture.content.createLease()
  const small = await fixture.content.ingest([Buffer.from('small')], { lease })
  const call = fixture.content.ingest(megabytes(8), { lease, ...(ref ? { ref } : {}) })
  await expect(call).rejects.toMatchObject({ kind: 'resource_exhausted', code: 'content.full' })
  expect(fixture.files()).toEqual({ blobs: [small.digest.slice(7)], ingest: [] })
  // There is room again, and collecting works.
  expect((await fixture.content.ingest(megabytes(1), { lease })).size).toBe(1 << 20)
  lease.release()
  expect((await fixture.content.collectGarbage()).removed).toContain(digestOf('small'))
  expect(fixture.files().blobs).toEqual([])
})
