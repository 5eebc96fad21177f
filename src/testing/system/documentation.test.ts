import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { mustRun, repository, run } from './packed-package.ts'

interface Block {
  readonly page: string
  readonly line: number
  /** `run`, `from FILE`, or nothing. */
  readonly mark: string
  readonly code: string
}

function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(join(repository, page), 'utf8')
  return [...text.matchAll(/^```ts *(.*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    mark: match[1]!.trim(),
    code: match[2]!,
  }))
}

const pages = ['README.md', ...globSync('api-docs/guides/*.md', { cwd: repository }).sort()]
const blocks = pages.flatMap(blocksOf)
const named = (block: Block) => [`${block.page}:${block.line}`, block] as const

// Inside the repository, so that 'tscontainer' leads to it.
const workplace = join(repository, '.tmp/documentation')
const fileOf = (block: Block) => join(workplace, `${block.page.replaceAll('/', '-')}-${block.line}.ts`)

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tscontainer-documentation-'))
  await writeBusyboxTarball(join(directory, 'busybox.tar'))
  await mustRun(process.execPath, [join(repository, 'scripts/build-when-changed.ts')], repository)
  rmSync(workplace, { recursive: true, force: true })
  mkdirSync(workplace, { recursive: true })
  const own = blocks.filter((block) => !block.mark.startsWith('from '))
  for (const block of own) {
    // Readers use the default root; a test must not.
    const code = block.code
      .replaceAll('Engine.open()', 'Engine.open({ root: process.env.ROOT! })')
      .replaceAll(/Engine\.open\(\{(?!\s*root\b)/g, 'Engine.open({ root: process.env.ROOT!, ')
    writeFileSync(fileOf(block), `${code}\nexport {}\n`)
  }
  writeFileSync(
    join(workplace, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
      files: own.map(fileOf),
    }),
  )
})

afterAll(() => rm(directory, { recursive: true, force: true }))

describe('code in the documentation', () => {
  test('is there', () => expect(blocks.filter((block) => block.mark === 'run').length).toBeGreaterThan(2))

  test('type checks', async () => {
    const tsc = join(repository, 'node_modules/typescript/bin/tsc')
    expect((await run(process.execPath, [tsc, '-p', workplace], repository)).stdout).toBe('')
  })

  test.each(blocks.filter((block) => block.mark === 'run').map(named))('%s runs', async (_, block) => {
    const root = join(directory, `root-${block.line}`)
    const { code, stdout, stderr } = await run('env', [`ROOT=${root}`, process.execPath, fileOf(block)], directory)
    expect(stderr).toBe('')
    expect(code, stdout).toBe(0)
    // What the root has on the host does not go with its directory.
    const reset = join(repository, 'src/cli.ts')
    await mustRun(
      process.execPath,
      ['--conditions=tscontainer-source', reset, 'reset', '--root', root, '--yes'],
      directory,
    )
  })

  test.each(blocks.filter((block) => block.mark.startsWith('from ')).map(named))(
    '%s is what the file says',
    (_, block) => {
      expect(readFileSync(join(repository, block.mark.slice('from '.length)), 'utf8')).toContain(block.code)
    },
  )

  test('links between pages lead somewhere', () => {
    const dead = pages.flatMap((page) =>
      [...readFileSync(join(repository, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)]
        .map((match) => join(page, '..', match[1]!))
        .filter((target) => globSync(target, { cwd: repository }).length === 0)
        .map((target) => `${page}: ${target}`),
    )
    expect(dead).toEqual([])
  })
})
