import { Engine } from '../../index.ts'

// A process that repairs a root again and again until it is killed.
const root = process.argv[2] ?? ''
process.stdout.write('begins\n')
for (;;) await Engine.repair({ root, diagnostics: () => {} })
