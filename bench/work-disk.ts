import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type DiskKind = 'ext4' | 'tmpfs'

/**
 * A disk of the bench's own: an ext4 on a loop device whose file lies in memory, or a tmpfs. The root file systems of
 * cloud machines slow file creation down several times after deletes, which would drown what is measured.
 */
export class WorkDisk implements Disposable {
  readonly path: string
  readonly #base: string
  readonly #mounted: string[] = []

  constructor(kind: DiskKind, size = '6G') {
    this.#base = mkdtempSync(join(tmpdir(), 'tscontainer-bench-'))
    this.path = join(this.#base, 'disk')
    const memory = join(this.#base, 'memory')
    try {
      if (kind === 'tmpfs') this.#mount(['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'bench'], this.path)
      else {
        this.#mount(['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'bench'], memory)
        const image = join(memory, 'ext4.img')
        // Its memory is taken now: the first write to each place would pay for it else.
        execFileSync('fallocate', ['-l', size, image])
        execFileSync('mkfs.ext4', [
          '-q',
          '-F',
          '-m',
          '0',
          '-E',
          'lazy_itable_init=0,lazy_journal_init=0,nodiscard',
          image,
        ])
        this.#mount(['-o', 'loop,noatime', image], this.path)
      }
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  #mount(what: readonly string[], target: string): void {
    mkdirSync(target, { recursive: true })
    execFileSync('mount', [...what, target])
    this.#mounted.push(target)
  }

  [Symbol.dispose](): void {
    for (let target = this.#mounted.pop(); target; target = this.#mounted.pop()) unmount(target)
    rmSync(this.#base, { recursive: true, force: true })
  }
}

/** What was just closed may keep a disk busy for a moment; past two seconds the kernel takes the rest over. */
function unmount(target: string): void {
  for (let attempt = 0; attempt < 20; attempt++) {
    if (spawnSync('umount', [target], { stdio: 'ignore' }).status === 0) return
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  }
  execFileSync('umount', ['--lazy', target])
}
