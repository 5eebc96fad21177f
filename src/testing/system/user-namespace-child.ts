import { builtinDrivers } from '../../builtins.ts'
import { createHost } from '../../host/host.ts'
import { runStorageSuite } from './run-suite.ts'

/** Runs the suite of a storage driver in the namespace it was started in: `DRIVER BELOW`; prints the report as JSON. */
const [name = '', below = ''] = process.argv.slice(2)
const definition = builtinDrivers.find((one) => one.type === 'storage' && one.name === name)
if (definition?.type !== 'storage') throw new Error(`no storage driver ${name}`)
await using host = createHost({ diagnostics: () => {} })
const context = { directory: below, runDirectory: below, host, diagnostics: () => {} }
const probe = await definition.probe(context, definition.parseOptions({}))
const skips: Readonly<Record<string, { readonly test: string; readonly reason: string }>> = {
  overlay2: {
    test: 'links to a file of a lower layer',
    reason: 'overlay with userxattr keeps no origin of copies, so that inode numbers change with the copy',
  },
  'fuse-overlayfs': {
    test: 'keeps names that other drivers use for whiteouts',
    reason: 'fuse-overlayfs hides every name that begins with .wh., which no layer can hold either',
  },
}
const skip = skips[name] ? [skips[name]] : []
const report = probe.usable
  ? await runStorageSuite({ definition, below, skip, depth: 16 })
  : { passed: [], failed: ['probe'] }
console.log(JSON.stringify({ probe, ...report }))
