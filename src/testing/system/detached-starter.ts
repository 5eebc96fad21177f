import { mkdirSync, openSync } from 'node:fs'
import { ociCliRuntime } from '../../../drivers/runtime/oci-cli/index.ts'
import type { ContainerId } from '../../driver-kit/ids.ts'
import type { Bundle } from '../../driver-kit/runtime-driver.ts'
import { createHost } from '../../host/host.ts'

// A process of its own that starts a detached container, says so, and waits to be killed.
// Arguments: run directory, runtime, container id, output file, the bundle as JSON.
const [runDirectory = '', binary = '', id = '', output = '', bundleText = ''] = process.argv.slice(2)
const diagnostics = () => {}
const host = createHost({ diagnostics })
mkdirSync(runDirectory, { recursive: true })
const context = { directory: runDirectory, runDirectory, host, diagnostics }
const driver = await ociCliRuntime.open(context, { binary })
const out = openSync(output, 'a')
const bundle: Bundle = {
  ...(JSON.parse(bundleText) as Bundle),
  stdio: { kind: 'pipes', stdin: null, stdout: out, stderr: out },
}
const task = await driver.run(id as ContainerId, bundle)
console.log(`running ${task.pid}`)
setInterval(() => {}, 1000)
