import type { CgroupMode } from '../kernel.ts'

/** Where the containers of one engine or monitor lie in the cgroup tree. */
export interface CgroupParent {
  readonly id: string
  readonly mode: CgroupMode
  /** Which cgroup driver the runtime is to be told: `systemd` needs its `--systemd-cgroup` option. */
  readonly driver: 'cgroupfs' | 'systemd'
  /** Path below the hierarchies' roots: `/tscontainer/<id>`. */
  readonly path: string
  /** Controllers that limits can use below it. */
  readonly controllers: readonly string[]
  /** `linux.cgroupsPath` of a container's runtime spec. */
  cgroupsPathOf(containerId: string): string
  /** The same container's cgroup below the hierarchies' roots. */
  pathOf(containerId: string): string
}

/** Makes the parent cgroup of an engine or monitor, with its controllers switched on (v2). Idempotent. */
export function ensureParent(_id: string): CgroupParent {
  throw new Error('being written')
}
