import { engineErrors } from '../errors/engine-errors.ts'
import { readKernelFeatures } from '../host/kernel-features.ts'

/** What mounting, namespaces and owners of files need. */
const needed = [
  'CAP_SYS_ADMIN',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_MKNOD',
  'CAP_SYS_CHROOT',
  'CAP_NET_ADMIN',
] as const

/** Refuses early, with the reason, what would otherwise fail somewhere deep. */
export function requirePrivilege(): void {
  const { capabilities } = readKernelFeatures()
  const missing = needed.filter((capability) => !capabilities.includes(capability))
  if (missing.length === 0) return
  throw engineErrors.error('not_privileged', {
    message: `The engine needs root on this machine; this process (uid ${process.getuid?.()}) lacks ${missing.join(', ')}. Run it as root.`,
    details: { missing },
  })
}
