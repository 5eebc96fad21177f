import type { IdMap } from './id-map.ts'

/**
 * A mount as data: drivers say what to mount, the engine mounts it where the container will see it.
 * `type` and `options` are those of mount(8): flags (`ro`, `nosuid`, `rbind`, ...) and data of the file system mixed.
 */
export interface MountSpec {
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
  /**
   * Shows files with owners shifted; those on disk stay (types `bind` and `overlay`; Linux 5.12 and 5.19). All directories
   * of an overlay must lie in `within`. Since driver kit 1.1.
   */
  readonly shift?: IdMap & { readonly within: string }
}
