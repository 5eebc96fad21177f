/**
 * A mount as data: drivers say what to mount, the engine mounts it where the container will see it.
 * `type` and `options` are those of mount(8): flags (`ro`, `nosuid`, `rbind`, ...) and data of the file system mixed.
 */
export interface MountSpec {
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}
