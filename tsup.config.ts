import { readFileSync, rmSync } from 'node:fs'
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

/** Programs that are started by name. */
const programs: Record<string, string> = {
  'monitor/monitor-main': 'src/monitor/monitor-main.ts',
  cli: 'src/cli.ts',
}

/** Worker threads. Each is built by itself: what it shared with the others would be many small files to load. */
const workers: Record<string, string> = {
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
rmSync(new URL('dist', import.meta.url), { recursive: true, force: true })

export default defineConfig([
  { ...common, entry: { ...published, ...programs }, dts: { entry: published } },
  ...Object.entries(workers).map(([name, source]): Options => ({ ...common, entry: { [name]: source } })),
])
