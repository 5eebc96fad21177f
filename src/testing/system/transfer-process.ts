import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressEvent } from '../../progress/progress-event.ts'

export type TransferLine =
  | ProgressEvent
  | { readonly type: 'ready' }
  /** Of a pulled image its id, of a pushed one the digest of its manifest. */
  | { readonly type: 'done'; readonly id: string }

/** A process of its own that pulls or pushes. */
export class TransferProcess {
  readonly #child: ChildProcess
  readonly lines: TransferLine[] = []
  readonly ended: Promise<unknown>

  constructor(args: readonly ['pull', root: string, reference: string] | readonly ['push', ...string[]]) {
    const script = join(import.meta.dirname, 'transfer-child.ts')
    this.#child = spawn(process.execPath, ['--conditions=tscontainer-source', script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: this.#child.stdout! })
    lines.on('line', (line) => this.lines.push(JSON.parse(line) as TransferLine))
    this.ended = Promise.all([once(this.#child, 'close'), once(lines, 'close')])
  }

  /** Waits until it has told such a line. */
  async until(seen: (line: TransferLine) => boolean): Promise<void> {
    while (!this.lines.some(seen)) {
      if (this.#child.exitCode !== null) throw new Error('the process ended before')
      await sleep(2)
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }

  /** What it has brought; null until it is done. */
  get id(): string | null {
    return this.lines.find((line) => line.type === 'done')?.id ?? null
  }

  /** Items that it says it did itself. */
  get done(): string[] {
    return this.lines.flatMap((line) => (line.type === 'item-done' && !line.reused ? [line.item] : []))
  }
}
