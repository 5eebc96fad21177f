import { ContainerCopies } from '../container/container-copies.ts'
import { ContainerRecords } from '../container/container-records.ts'
import type { ContainerImage, ContainerServices } from '../container/services.ts'
import { type CgroupParent, parentPathsOf } from '../host/cgroup/parent.ts'
import { QuickMoves } from '../host/cgroup/quick-moves.ts'
import { canLimitSwap } from '../host/cgroup/swap-limit.ts'
import type { KernelFeatures } from '../host/kernel.ts'
import type { ImageRecord } from '../image/image-record.ts'
import type { ImageStore } from '../image/image-store.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import { WorkQueue } from '../lifetime/queue.ts'
import type { Scope } from '../lifetime/scope.ts'
import { Turns } from '../lifetime/turns.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/image-config.ts'
import { hostPlatform } from '../oci/platform.ts'
import type { SeccompPart } from '../runtime/build-spec.ts'
import { readHostLimits } from '../runtime/host-limits.ts'
import { defaultCapabilities } from '../runtime/process-defaults.ts'
import type { SeccompForm } from '../runtime/seccomp/default-seccomp.ts'
import { rememberedSeccomp } from '../runtime/seccomp/remembered-seccomp.ts'
import type { OwnerRole } from '../state/owners.ts'
import type { RootPaths } from '../state/paths.ts'
import { ensureUnpacked } from '../transfer/unpack-image.ts'
import { coreTokens } from './core-tokens.ts'
import { GuardKeeper } from './guard-keeper.ts'
import { containerNetworks } from './open-networks.ts'
import type { Parts } from './parts.ts'
import { removeAbandonedImages } from './remove-abandoned-images.ts'
import { removeOwnCgroups } from './sweep-cgroups.ts'

export interface ContainerServicesOptions {
  readonly role: OwnerRole
  readonly log: { readonly driver: string; readonly options: Readonly<Record<string, string>> } | undefined
  readonly processors: number
  cgroups(id: string): CgroupParent
  readonly scope: Scope
  readonly monitorCommand: readonly string[]
}

/** Fills in what the verbs on containers see of the engine. */
export async function openContainerServices(
  parts: Parts,
  options: ContainerServicesOptions,
): Promise<ContainerServices> {
  const t = coreTokens
  const state = parts.get(t.state)
  const owner = parts.get(t.owner)
  const host = parts.get(t.host)
  const diagnostics = parts.get(t.diagnostics)
  const journal = parts.get(t.journal)
  const logs = parts.get(t.logs)
  const [storage, runtime] = await Promise.all([parts.get(t.storage), parts.get(t.runtime)])
  const features = host.features()
  // `process` containers lie below this process's own cgroup, which the guard ends; detached ones below the root's.
  const id = options.role === 'monitor' ? `root.${state.rootId}` : owner.id
  let made: CgroupParent | null = null
  const cgroups = () => {
    made ??= options.cgroups(id)
    return made
  }
  options.scope.defer(async () => {
    if (made) await removeOwnCgroups(host.cgroups, made.path)
    // A monitor that only took over has made none, and leaves when nobody is in those of its root any more.
    else if (options.role === 'monitor')
      for (const path of parentPathsOf(id)) if (host.cgroups.exists(path)) await removeOwnCgroups(host.cgroups, path)
  })
  const guard = options.scope.own(new GuardKeeper(owner.id, cgroups, diagnostics))
  const quickMoves = options.scope.own(new QuickMoves(() => (options.role === 'monitor' ? process.pid : guard.pid)))
  return {
    owner: { id: owner.id, role: options.role },
    rootId: state.rootId,
    paths: state.paths,
    db: state.db,
    records: new ContainerRecords(state.db, journal, new ContainerCopies(state.paths)),
    journal,
    diagnostics,
    runtime,
    roots: {
      create: (draft, chain, options) =>
        storage.createDraft(draft, chain, { ...options, kind: 'container', owner: owner.id }),
      mounts: (draft, call) => storage.draftMounts(draft, call),
      remove: (draft, durable, call) => storage.removeDraft(draft, { ...call, durable }),
    },
    networks: containerNetworks(parts.get(t.networks)),
    seccomp: features.seccomp ? await seccompFilters(features, runtime.seccompForm, state.paths) : async () => ({}),
    capabilities: features.capabilities,
    cgroupMode: features.cgroup,
    resourceSupport: {
      controllers: features.controllers,
      swap: canLimitSwap(),
      processors: options.processors,
    },
    hostLimits: readHostLimits(features.capabilities),
    cgroupPath: (container) => cgroups().cgroupsPathOf(container),
    guard: () => guard.ready(),
    turns: new Turns(),
    starts: new WorkQueue(Math.max(8, 4 * options.processors)),
    quickMoves: () => quickMoves.hold(),
    resolveImage: imageResolver(parts.get(t.images), async (image, call) =>
      ensureUnpacked(await parts.get(t.transfer), storage, image, call),
    ),
    imageReleased: async (image) => {
      if (parts.get(t.images).lifetimeOf(image) === 'process') await removeAbandonedImages(parts)
    },
    defaultLog: options.log ?? { driver: 'json-file', options: {} },
    logDriver: (name) => logs.get(name),
    mount: (target, mounts, call) => host.launcher.mount({ target, mounts }, call),
    detached: parts.get(t.monitor),
    monitorCommand: options.monitorCommand,
  }
}

/** Made once for each set of capabilities; the usual one is kept on the disk. */
async function seccompFilters(features: KernelFeatures, form: SeccompForm, paths: RootPaths) {
  const request = { architecture: hostPlatform().architecture, kernelRelease: features.release, form }
  const usual = await rememberedSeccomp({ ...request, capabilities: defaultCapabilities }, paths.seccomp(form))
  const made = new Map<string, SeccompPart>([[defaultCapabilities.join(), usual]])
  return async (capabilities: readonly string[]): Promise<SeccompPart> => {
    const key = capabilities.join()
    const known = made.get(key)
    if (known) return known
    const { defaultSeccomp } = await import('../runtime/seccomp/default-seccomp.ts')
    const part = defaultSeccomp({ ...request, capabilities })
    made.set(key, part)
    return part
  }
}

/** Configurations are immutable: each is read once. */
function imageResolver(
  images: ImageStore,
  unpacked: (image: ImageRecord, call?: CallOptions) => Promise<Digest | null>,
) {
  const configs = new Map<Digest, ImageConfig>()
  return async (reference: string, call?: CallOptions): Promise<ContainerImage> => {
    const record = images.resolve(reference)
    const config = configs.get(record.id) ?? (await record.config(call))
    configs.set(record.id, config)
    return { id: record.id, manifest: record.manifest.digest, config, chain: await unpacked(record, call) }
  }
}
