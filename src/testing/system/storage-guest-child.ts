import { overlay2Storage } from '../../../drivers/storage/overlay2/index.ts'
import type { DraftId, DriverContext } from '../../driver-kit/index.ts'
import { createHost } from '../../host/host.ts'
import type { ProjectQuotas } from '../../host/project-quotas.ts'

/**
 * Makes drafts with size limits: `DIRECTORY NAME COUNT KILL-AT`. It kills itself at the KILL-AT-th call that changes
 * quotas (0: never). For storage-guest.ts.
 */
const [directory = '', name = '', count = '1', killAt = '0'] = process.argv.slice(2)
const host = createHost({ diagnostics: () => {} })
let calls = 0
const counted = <Args extends readonly unknown[]>(work: (...args: Args) => void) => {
  return (...args: Args) => {
    if (++calls === Number(killAt)) process.kill(process.pid, 'SIGKILL')
    work(...args)
  }
}
const projectQuotas: ProjectQuotas = {
  ...host.projectQuotas,
  limit: counted(host.projectQuotas.limit),
  assign: counted(host.projectQuotas.assign),
}
const context: DriverContext = {
  directory,
  runDirectory: `${directory}.run`,
  host: Object.assign(Object.create(host), { projectQuotas }),
  diagnostics: () => {},
}
const driver = await overlay2Storage.open(context, overlay2Storage.parseOptions({}))
for (let i = 0; i < Number(count); i++) await driver.prepare(`${name}-${i}` as DraftId, null, { quotaBytes: 1 << 20 })
await driver.remove(`${name}-0` as DraftId)
await driver[Symbol.asyncDispose]()
await host[Symbol.asyncDispose]()
