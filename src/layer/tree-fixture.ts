import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ApplyLayerOptions, applyLayer } from './apply-layer.ts'

/** A directory for layers and trees, gone with the test. */
export interface TreeFixture extends Disposable {
  readonly directory: string
  readonly tree: string
  shell(script: string): string
  /** Unpacks `file` of the directory into the tree. */
  apply(file: string, options?: ApplyLayerOptions): ReturnType<typeof applyLayer>
}

export function treeFixture(): TreeFixture {
  const directory = mkdtempSync(join(tmpdir(), 'tscontainer-layer-'))
  const tree = join(directory, 'tree')
  const target = join(directory, 'target')
  for (const made of [tree, target]) mkdirSync(made)
  return {
    directory,
    tree,
    shell: (script) => execFileSync('bash', ['-euc', script], { cwd: directory, encoding: 'utf8' }),
    apply: (file, options) => {
      const path = join(directory, file)
      const source = { path, offset: 0, length: statSync(path).size }
      return applyLayer(source, { target, mounts: [{ type: 'bind', source: tree, options: ['bind'] }] }, options)
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** One line per file with everything that a layer carries. */
export const listing = `find . -mindepth 1 -printf '%p %M %U %G %n %T@ %l\\n' | sed 's/  *$//' | sort; find . -type f | sort | xargs -r sha256sum`
