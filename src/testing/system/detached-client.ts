import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Ended {
  readonly exitCode: number
  readonly oomKilled: boolean
}

export type Lines = Readonly<Record<'stdout' | 'stderr', readonly string[]>>

/** Talks to an engine of the built package in a process of its own, see detached-client-child.ts. */
export class DetachedClient implements AsyncDisposable {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #last = 0

  private constructor(root: string) {
    const file = join(import.meta.dirname, 'detached-client-child.ts')
    this.child = spawn(process.execPath, [file, root], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.#take(line))
  }

  static async open(root: string): Promise<DetachedClient> {
    const client = new DetachedClient(root)
    await once(client.child.stdout!, 'data')
    return client
  }

  run = (script: string, more: object = {}) => this.#ask('run', script, more) as Promise<string>
  wait = (id: string) => this.#ask('wait', id) as Promise<Ended>
  stop = (id: string) => this.#ask('stop', id) as Promise<Ended>
  remove = (id: string) => this.#ask('remove', id)
  lines = (id: string) => this.#ask('lines', id) as Promise<Lines>
  list = () => this.#ask('list') as Promise<string[]>
  reopen = () => this.#ask('reopen')
  monitors = () => this.#ask('monitors') as Promise<number[]>

  /** The monitor that lives, as soon as one does; another one than `not`. */
  async monitor(not?: number): Promise<number> {
    return waitFor('a monitor', async () => (await this.monitors()).find((pid) => pid !== not))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.stdin!.end()
    await once(this.child, 'exit')
  }

  #ask(op: string, argument?: string, more?: object): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>()
    this.#waiting.set(++this.#last, answer)
    this.child.stdin!.write(`${JSON.stringify({ number: this.#last, op, argument, more })}\n`)
    return answer.promise
  }

  #take(line: string): void {
    if (line === 'open') return
    const { number, value, error } = JSON.parse(line) as { number: number; value: unknown; error?: string }
    const answer = this.#waiting.get(number)!
    this.#waiting.delete(number)
    if (error === undefined) answer.resolve(value)
    else answer.reject(new Error(error))
  }
}

/** Asks until there is an answer other than undefined, null or false. */
export async function waitFor<T>(
  what: string,
  check: () => Promise<T> | T,
  timeoutMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = await check()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await sleep(10)
  }
}
