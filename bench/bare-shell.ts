import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/**
 * The bare limit: a shell that calls the same tools by hand. One shell serves a whole run and reads its own clock, so
 * that neither its start nor Node's is in the figures. It has a mount namespace of its own; on a hybrid host the cgroup v2
 * mount is detached in it, because crun refuses to run beside it.
 */
export class BareShell implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>
  readonly #stdin: Writable
  #errors = ''

  constructor() {
    const detach = 'grep -q " cgroup " /proc/self/mounts && umount -l /sys/fs/cgroup/unified 2>/dev/null'
    const script = `${detach}; mount --make-rslave /; while IFS= read -r command; do eval "$command"; done`
    const child = spawn('unshare', ['--mount', 'bash', '--norc', '-c', script], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    this.#stdin = child.stdin as Writable
    this.#answers = createInterface({ input: child.stdout as Readable })[Symbol.asyncIterator]()
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#errors = (this.#errors + chunk).slice(-4000)
    })
  }

  /**
   * Runs one line of shell and gives back how long it took, in ms. A line that sets `$stop` (to `$EPOCHREALTIME`) says
   * itself when the measured part was over.
   */
  async time(line: string): Promise<number> {
    if (line.includes('\n')) throw new Error('one line only: the shell reads line by line')
    this.#stdin.write(
      `stop=; start=$EPOCHREALTIME; { ${line} ; } >&2 </dev/null; code=$?; echo "$start \${stop:-$EPOCHREALTIME} $code"\n`,
    )
    const { value, done } = await this.#answers.next()
    if (done) throw new Error(`the bare shell ended: ${this.#errors}`)
    const [start, stop, code] = String(value).split(' ').map(Number)
    if (code !== 0) throw new Error(`the bare shell's line failed with ${code}: ${line}\n${this.#errors}`)
    return (stop! - start!) * 1000
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#stdin.end()
    await exited
  }
}

/** One word of shell. */
export const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`
