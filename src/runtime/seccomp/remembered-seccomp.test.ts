import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { defaultCapabilities } from '../process-defaults.ts'
import { defaultSeccomp, type SeccompRequest } from './default-seccomp.ts'
import { filterEdition, rememberedSeccomp } from './remembered-seccomp.ts'

const request: SeccompRequest = {
  architecture: 'amd64',
  kernelRelease: '6.1.0',
  capabilities: defaultCapabilities,
  form: 'crun-bpf',
}

function bed() {
  const directory = mkdtempSync(join(tmpdir(), 'seccomp-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return { directory, file: join(directory, 'seccomp.json') }
}

test('the edition changes with the filters', () => {
  const made = (['crun-bpf', 'profile'] as const).flatMap((form) =>
    ['amd64', 'arm64', 'riscv64'].flatMap((architecture) =>
      [defaultCapabilities, [...defaultCapabilities, 'CAP_SYS_ADMIN', 'CAP_BPF']].map((capabilities) =>
        defaultSeccomp({ ...request, form, architecture, capabilities }),
      ),
    ),
  )
  const edition = createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 16)
  // When this fails: the filters have changed, and `filterEdition` has to become what is expected here.
  expect(filterEdition).toBe(edition)
})

test('what was made once is taken from the file by the next one who asks the same', async () => {
  const { directory, file } = bed()
  const made = await rememberedSeccomp(request, file)
  expect(made).toEqual(defaultSeccomp(request))
  expect(readdirSync(directory)).toEqual(['seccomp.json'])
  const before = readFileSync(file, 'utf8')
  expect(await rememberedSeccomp(request, file)).toEqual(made)
  const other = await rememberedSeccomp({ ...request, form: 'profile' }, file)
  expect(other).toEqual(defaultSeccomp({ ...request, form: 'profile' }))
  expect(readFileSync(file, 'utf8')).not.toBe(before)
})

test('a torn, foreign or damaged file is never used, and a directory that is gone does no harm', async () => {
  const { directory, file } = bed()
  const made = await rememberedSeccomp(request, file)
  const text = readFileSync(file, 'utf8')
  const filter = made.annotations!['run.oci.seccomp_bpf_data']!
  for (const bad of [
    '',
    'null',
    text.slice(0, -20),
    text.replace(
      filter,
      filter.replace(/[A-Z]/, (letter) => letter.toLowerCase()),
    ),
    text.replace(filterEdition, 'f'.repeat(16)),
  ]) {
    writeFileSync(file, bad)
    expect(await rememberedSeccomp(request, file)).toEqual(made)
    expect(readFileSync(file, 'utf8')).toBe(text)
  }
  expect(await rememberedSeccomp(request, join(directory, 'gone', 'seccomp.json'))).toEqual(made)
})
