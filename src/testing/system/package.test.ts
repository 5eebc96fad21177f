import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { addTypeScript, compile, makeConsumer, mustRun, packPackage, repository, run } from './packed-package.ts'

/** The whole job in one file, as an application would write it; argv: root, tarball. */
const application = `
import { Engine, isEngineError } from 'tscontainer'
const [, , root, tarball] = process.argv
const engine = await Engine.open({ root })
const [image] = await engine.images.load(tarball)
const container = await engine.containers.run({ image, command: ['sh', '-c', 'echo packed; exit 5'], networks: 'none' })
const { exitCode } = await container.wait()
const lines = []
for await (const entry of container.logs()) lines.push(entry.text)
await container.remove()
const missing = await engine.images.get('nowhere:1').catch((error) => isEngineError(error) && error.kind)
await engine[Symbol.asyncDispose]()
console.log(JSON.stringify({ exitCode, lines, missing }))
`

const expected = { exitCode: 5, lines: ['packed'], missing: 'not_found' }

const typed = `
import { Engine, type Container, type ContainerSpec, type ExitStatus, type Image, type LogEntry } from 'tscontainer'
import { type DriverDefinition, driverKitVersion, type StorageDriver } from 'tscontainer/driver-kit'
import { storageDriverSuite } from 'tscontainer/testing'
import { overlay2Storage } from 'tscontainer/drivers/storage/overlay2'

export const spec: ContainerSpec = { image: 'busybox', networks: 'none', resources: { memory: '64m' } }
// @ts-expect-error: a misspelt key is an error at compile time too
export const misspelt: ContainerSpec = { image: 'busybox', comand: ['true'] }

export async function use(engine: Engine): Promise<number> {
  const images: readonly Image[] = await engine.images.load('image.tar')
  const container: Container = await engine.containers.run({ image: images[0]!, onLog: (entry: LogEntry) => void entry.text })
  const status: ExitStatus = await container.wait()
  // @ts-expect-error: results are typed, not any
  const text: string = status.exitCode
  void text
  return status.exitCode
}
export type Storage = DriverDefinition<'storage'>
export const driver: { readonly name: string } = overlay2Storage
export const version: string = driverKitVersion
export type Suite = typeof storageDriverSuite
export type Both = StorageDriver & AsyncDisposable
`

let directory: string
let consumer: string
let tarball: string
let image: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tscontainer-package-'))
  consumer = join(directory, 'consumer')
  tarball = await packPackage(directory)
  await makeConsumer(consumer, tarball)
  await addTypeScript(consumer)
  image = join(directory, 'busybox.tar')
  await writeBusyboxTarball(image)
})

afterAll(() => rm(directory, { recursive: true, force: true }))

describe('the packed package', () => {
  test('holds what it should and nothing else', async () => {
    const files = (await mustRun('tar', ['-tzf', tarball], directory)).trim().split('\n')
    const has = (name: string) => files.includes(`package/${name}`)
    for (const name of [
      'package.json',
      'README.md',
      'LICENSE',
      'NOTICE',
      'CHANGELOG.md',
      'dist/index.js',
      'dist/index.d.ts',
    ])
      expect(has(name), name).toBe(true)
    expect(
      files.filter((name) => /\.test\.ts$|testing\/(system|vm)\/|\.tmp|build-stamp|node_modules/.test(name)),
    ).toEqual([])
  })

  test('every export leads to files that are there', async () => {
    const manifest = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>
    }
    const files = new Set((await mustRun('tar', ['-tzf', tarball], directory)).trim().split('\n'))
    const targets = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    )
    expect(targets.filter((target) => !files.has(target.replace('./', 'package/')))).toEqual([])
  })

  test('runs containers in an empty project', async () => {
    await writeFile(join(consumer, 'application.js'), application)
    const output = await mustRun(process.execPath, ['application.js', join(directory, 'root-1'), image], consumer)
    expect(JSON.parse(output)).toEqual(expected)
  })

  test('works from a worker thread', async () => {
    await writeFile(
      join(consumer, 'threaded.js'),
      `import { Worker } from 'node:worker_threads'
       const worker = new Worker(new URL('application.js', import.meta.url), { argv: process.argv.slice(2) })
       worker.once('error', (error) => { throw error })`,
    )
    const output = await mustRun(process.execPath, ['threaded.js', join(directory, 'root-2'), image], consumer)
    expect(JSON.parse(output)).toEqual(expected)
  })

  test('works bundled by esbuild', async () => {
    const esbuild = join(repository, 'node_modules/esbuild/bin/esbuild')
    // koffi is a native addon and finds its binary beside itself; the package finds its worker files the same way.
    const options = ['--bundle', '--platform=node', '--format=esm', '--target=node22', '--external:koffi']
    await mustRun(esbuild, ['application.js', ...options, '--outfile=bundled.mjs', '--log-level=error'], consumer)
    const output = await mustRun(process.execPath, ['bundled.mjs', join(directory, 'root-3'), image], consumer)
    expect(JSON.parse(output)).toEqual(expected)
  })

  test('brings its command', async () => {
    const doctor = await run(process.execPath, ['node_modules/.bin/tscontainer', 'doctor'], consumer)
    expect(doctor.stderr).toBe('')
    expect(doctor.stdout).toMatch(/kernel/i)
    expect(doctor.code).toBe(0)
  })

  test.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('types check with module %s and resolution %s', async (module, moduleResolution) => {
    await writeFile(join(consumer, 'typed.ts'), typed)
    await writeFile(
      join(consumer, `tsconfig.${moduleResolution}.json`),
      JSON.stringify({
        compilerOptions: {
          ...{ module, moduleResolution, target: 'es2023', lib: ['es2023'], types: ['node'], noEmit: true },
          ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false },
        },
        files: ['typed.ts'],
      }),
    )
    const { code, stdout } = await compile(consumer, '-p', `tsconfig.${moduleResolution}.json`)
    expect(stdout).toBe('')
    expect(code).toBe(0)
  })
})
