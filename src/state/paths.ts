import { join } from 'node:path'

/**
 * The map of a data root. Everything below it is mode 0700; nothing of an engine lies elsewhere on the host but its
 * cgroups, its bridge and its firewall table.
 */
export class RootPaths {
  /** Absolute. */
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  /** All records. */
  get database(): string {
    return join(this.root, 'state.db')
  }
  /** What the root was from the beginning: its id. */
  get rootFile(): string {
    return join(this.root, 'root.json')
  }
  /** A copy of the networks, from which damaged records are built anew. */
  get networksFile(): string {
    return join(this.root, 'networks.json')
  }
  /** An OCI image layout: oci-layout, index.json (a copy of what images there are), blobs/. */
  get content(): string {
    return join(this.root, 'content')
  }
  /** Each storage driver's own directory. */
  storage(driver: string): string {
    return join(this.root, 'storage', driver)
  }
  /** Everything that belongs to one container but its root: bundle, log, hosts files, exit status. */
  container(id: string): string {
    return join(this.root, 'containers', id)
  }
  get containers(): string {
    return join(this.root, 'containers')
  }
  driver(type: string, name: string): string {
    return join(this.root, 'drivers', type, name)
  }
  get volumes(): string {
    return join(this.root, 'volumes')
  }
  /** What a reboot may lose: sockets, locks, runtime state. */
  get run(): string {
    return join(this.root, 'run')
  }
  /** The default system call filter as a runtime takes it: made once. */
  seccomp(form: string): string {
    return join(this.run, `seccomp-${form}.json`)
  }
  /** A lock file per owner; the kernel releases the lock when the owner dies. */
  get owners(): string {
    return join(this.run, 'owners')
  }
  /**
   * Where every container's root is mounted: each in a mount namespace of its own, so that one empty directory serves
   * them all.
   */
  get containerRoot(): string {
    return join(this.run, 'root')
  }
  /** Where a tree is mounted for reading or preparing it, in the launcher's namespace only. */
  workMount(id: string): string {
    return join(this.run, 'work', id)
  }
  /** Scratch space on the same file system: renames out of it are atomic. */
  get temporary(): string {
    return join(this.root, 'tmp')
  }
}
