import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { transformSync } from 'esbuild'

// For processes that tests start from the sources on a Node that does not know `using` yet: `node --import` this file.
// The built package is lowered by its build.
registerHooks({
  load(url, context, next) {
    if (!url.endsWith('.ts') || url.includes('/node_modules/')) return next(url, context)
    const source = readFileSync(new URL(url), 'utf8')
    return {
      format: 'module',
      shortCircuit: true,
      source: transformSync(source, { loader: 'ts', target: 'node22' }).code,
    }
  },
})
