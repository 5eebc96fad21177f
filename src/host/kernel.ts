/** Which cgroup hierarchies are mounted: v1 only, v1 beside a v2 without the controllers, or v2 only. */
export type CgroupMode = 'v1' | 'hybrid' | 'v2'

/** What this kernel and machine offer, found by trying where that is cheap and harmless. */
export interface KernelFeatures {
  /** `uname -r`. */
  readonly release: string
  readonly architecture: string
  readonly bootId: string
  readonly cgroup: CgroupMode
  /** Controllers that containers can be limited with. */
  readonly controllers: readonly string[]
  /** systemd is the init system and its bus can be asked for scopes. */
  readonly systemd: boolean
  readonly seccomp: boolean
  readonly userNamespaces: boolean
  readonly appArmor: boolean
  /** Effective capabilities of this process, `CAP_SYS_ADMIN`, ... */
  readonly capabilities: readonly string[]
  /** File systems the kernel knows now (/proc/filesystems); others may load as modules. */
  readonly filesystems: readonly string[]
}
