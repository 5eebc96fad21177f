import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/** A worker thread's file in the sources, and its name in the built package (`dist/workers/<name>.js`). */
const sources = {
  launcher: './launcher-thread.ts',
  layer: '../layer/layer-worker.ts',
  pack: '../layer/pack-worker.ts',
} as const

export type WorkerName = keyof typeof sources

/** Whether this copy runs from TypeScript sources. */
export const runsFromSource: boolean = import.meta.url.endsWith('.ts')

/**
 * Where a worker thread's file is. From sources: the TypeScript file itself. Built: tsup puts shared code into chunks
 * directly in dist/ or into an entry below it, so the folder `workers` is looked for from the package's dist upwards.
 */
export function workerEntry(name: WorkerName): URL {
  if (runsFromSource) return new URL(sources[name], import.meta.url)
  return new URL(`workers/${name}.js`, distFolder())
}

/**
 * The built package's `dist/`, as a URL that ends in a slash. Only meaningful when built. Inside an application's bundle
 * this file is anywhere, so the installed package is asked for next: it must be there anyway, for koffi's binary.
 */
export function distFolder(): URL {
  const here = new URL('.', import.meta.url)
  const depth = here.pathname.lastIndexOf('/dist/')
  const above = new URL(here)
  if (depth >= 0) above.pathname = here.pathname.slice(0, depth + '/dist/'.length)
  if (existsSync(new URL('workers/launcher.js', above))) return above
  try {
    return new URL('dist/', pathToFileURL(createRequire(import.meta.url).resolve('tscontainer/package.json')))
  } catch {
    return above
  }
}

/** `execArgv` for threads and processes of ours: nothing of the caller's (inspector, loaders), only what sources need. */
export function workerExecArgv(): string[] {
  return runsFromSource ? ['--conditions=tscontainer-source'] : []
}
