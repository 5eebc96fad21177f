/** A worker thread's file in the sources, and its name in the built package (`dist/workers/<name>.js`). */
const sources = {
  launcher: './launcher-thread.ts',
  layer: '../layer/layer-worker.ts',
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

/** The built package's `dist/`, as a URL that ends in a slash. Only meaningful when built. */
export function distFolder(): URL {
  const here = new URL('.', import.meta.url)
  const depth = here.pathname.lastIndexOf('/dist/')
  if (depth < 0) return here
  const folder = new URL(here)
  folder.pathname = here.pathname.slice(0, depth + '/dist/'.length)
  return folder
}

/** `execArgv` for threads and processes of ours: nothing of the caller's (inspector, loaders), only what sources need. */
export function workerExecArgv(): string[] {
  return runsFromSource ? ['--conditions=tscontainer-source'] : []
}
