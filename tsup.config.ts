import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

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

/** Files that are started by name: worker threads, the monitor's process, the command. */
const started: Record<string, string> = {
  'workers/launcher': 'src/host/launcher-thread.ts',
  'workers/layer': 'src/layer/layer-worker.ts',
  'workers/pack': 'src/layer/pack-worker.ts',
  'monitor/monitor-main': 'src/monitor/monitor-main.ts',
  cli: 'src/cli.ts',
}

export default defineConfig({
  entry: { ...published, ...started },
  format: 'esm',
  target: 'node22',
  platform: 'node',
  splitting: true,
  sourcemap: true,
  clean: true,
  // `node:sqlite` exists only under its prefix.
  removeNodeProtocol: false,
  dts: { entry: published },
  esbuildOptions(options) {
    // Drivers import 'tscontainer/driver-kit'; the condition leads to the source, so they share its chunks.
    options.conditions = ['tscontainer-source']
  },
})
