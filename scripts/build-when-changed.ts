import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Builds dist unless it was built from these very sources. Prints one line, or the build's output when it fails. */
const repository = join(import.meta.dirname, '..')
const stampFile = join(repository, '.tmp/build-stamp')

function fingerprint(): string {
  const hash = createHash('sha256')
  const files = globSync(['src/**/*.ts', 'drivers/**/*.ts', 'plugins/**/*.ts'], { cwd: repository })
    .filter((file) => !/\.test\.ts$|^src\/testing\/(system|vm)\//.test(file))
    .concat('package.json', 'package-lock.json', 'tsconfig.json', 'tsup.config.ts')
  for (const file of files.sort())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(repository, file)))
      .update('\0')
  return hash.digest('hex')
}

const stamp = fingerprint()
const known = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''
if (stamp !== known || !existsSync(join(repository, 'dist/index.js'))) {
  const started = performance.now()
  const build = spawnSync(join(repository, 'node_modules/.bin/tsup'), { cwd: repository, encoding: 'utf8' })
  if (build.status !== 0) {
    process.stderr.write(`${build.stdout ?? ''}${build.stderr ?? ''}${build.error?.message ?? ''}\n`)
    process.exit(1)
  }
  mkdirSync(join(repository, '.tmp'), { recursive: true })
  writeFileSync(stampFile, stamp)
  console.log(`build: dist made in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}
