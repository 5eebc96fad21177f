import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { defineConfig, type Options } from 'tsup'

interface Manifest {
  readonly exports: Readonly<
    Record<string, string | { readonly 'tscontainer-source': string; readonly default: string }>
  >
}

const manifest = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as Manifest

/** One entry per row of package.json's `exports`, so that the two cannot drift apart. */
const published: Record<string, string> = {}
for (const target of Object.values(manifest.exports)) {
  if (typeof target === 'string') continue
  published[target.default.replace(/^\.\/dist\//, '').replace(/\.js$/, '')] = target['tscontainer-source']
}

/** Started by name, each in a process or thread of its own, so each is built by itself. */
const started: Record<string, string> = {
  'monitor/monitor-main': 'src/monitor/monitor-main.ts',
  'workers/launcher': 'src/host/launcher-thread.ts',
  'workers/layer': 'src/layer/layer-worker.ts',
  'workers/pack': 'src/layer/pack-worker.ts',
}

const common: Options = {
  format: 'esm',
  target: 'node22',
  platform: 'node',
  splitting: true,
  sourcemap: true,
  // `node:sqlite` exists only under its prefix.
  removeNodeProtocol: false,
  esbuildOptions(options) {
    // Drivers import 'tscontainer/driver-kit'; the condition leads to the source, so they share its chunks.
    options.conditions = ['tscontainer-source']
  },
}

// Not by tsup's `clean`: the builds run at the same time and each would clean what the others wrote.
const dist = new URL('dist/', import.meta.url)
rmSync(dist, { recursive: true, force: true })
// Node looks up the module format of each file that it loads; this one is found at once and read quickly.
mkdirSync(dist)
writeFileSync(new URL('package.json', dist), '{ "type": "module" }\n')

// What is built together is cut into a file for each set of entries that use it, and Node takes half a millisecond and
// 50 kB of memory for each file: so the engine is built apart from what authors of drivers load.
const isEngine = ([name]: readonly [string, string]): boolean => name === 'index'
const entries = Object.entries(published)

export default defineConfig([
  {
    ...common,
    entry: { ...Object.fromEntries(entries.filter(isEngine)), cli: 'src/cli.ts' },
    dts: { entry: published },
  },
  { ...common, entry: Object.fromEntries(entries.filter((entry) => !isEngine(entry))) },
  ...Object.entries(started).map(([name, source]): Options => ({ ...common, entry: { [name]: source } })),
])
