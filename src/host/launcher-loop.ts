import { closeSync, fstatSync, readSync } from 'node:fs'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { isEngineError } from '../errors/engine-error.ts'
import { LauncherLeases } from './launcher-leases.ts'
import { LauncherNamespaces } from './launcher-namespaces.ts'
import { LauncherPrograms } from './launcher-programs.ts'
import type { LauncherCall, LauncherReply, LauncherResult, SentError } from './launcher-protocol.ts'
import { createNetnsSync } from './netns.ts'
import type { NetnsPlan } from './netns-plan.ts'
import { Epoll } from './syscall/epoll.ts'
import type { ThreadStop } from './thread-stop.ts'

/** Ids of calls begin at 1. */
const WAKE = 0
/** How long a wake-up that got lost is missed at most. */
const LONGEST_WAIT_MS = 1000

/**
 * The launcher thread's own event loop. It waits in the kernel for calls (`wake`, an eventfd, is written after each
 * message) and for the ends of programs at the same time, so that Node's loop, which can wait for neither pidfds nor
 * programs that it has not forked itself, is not needed. Everything here is synchronous: libuv's pool threads live in
 * the host's namespaces, only this thread does not.
 */
export class LauncherLoop {
  readonly #port: MessagePort
  readonly #wake: number
  readonly #stop: ThreadStop
  readonly #epoll = new Epoll()
  readonly #programs = new LauncherPrograms(this.#epoll)
  readonly #leases = new LauncherLeases()
  #entered: LauncherNamespaces | null = null

  constructor(port: MessagePort, wake: number, stop: ThreadStop) {
    this.#port = port
    this.#wake = wake
    this.#stop = stop
    this.#epoll.add(wake, WAKE)
  }

  /** Serves calls until it is asked to stop. Mounts and namespaces go with the thread; programs live on. */
  run(): void {
    const count = Buffer.alloc(8)
    for (;;) {
      for (const key of this.#epoll.wait(LONGEST_WAIT_MS)) {
        if (key === WAKE) readSync(this.#wake, count)
        else this.#tellEnd(key)
      }
      // What was sent before it was asked is served.
      const last = this.#stop.asked
      for (let message = this.#next(); message; message = this.#next()) this.#serve(message)
      if (last) return
    }
  }

  #next(): LauncherCall | null {
    return (receiveMessageOnPort(this.#port)?.message as LauncherCall | undefined) ?? null
  }

  #tellEnd(id: number): void {
    const exit = this.#programs.ended(id)
    if (exit) this.#send({ id, exit })
  }

  #serve(call: LauncherCall): void {
    if (call.verb === 'kill') {
      this.#programs.kill(call.id)
      return
    }
    try {
      this.#send({ id: call.id, result: this.#answer(call) })
    } catch (error) {
      this.#send({ id: call.id, error: sendable(error) })
    }
  }

  #answer(call: Exclude<LauncherCall, { verb: 'kill' }>): LauncherResult {
    switch (call.verb) {
      case 'launch':
        return { pid: this.#programs.start(call.id, call.request, this.#namespaces()) }
      case 'mount':
        this.#namespaces()
        return { path: this.#leases.mount(call.id, call.root) }
      case 'unmount':
        return { held: this.#leases.unmount(call.lease) }
      case 'netns':
        return createNetns(call.plan)
      case 'prepare':
        this.#namespaces()
        return null
    }
  }

  #namespaces(): LauncherNamespaces {
    this.#entered ??= new LauncherNamespaces()
    return this.#entered
  }

  #send(reply: LauncherReply): void {
    this.#port.postMessage(reply)
  }

  close(): void {
    this.#leases.close()
    this.#programs.close()
    this.#entered?.close()
    this.#epoll[Symbol.dispose]()
  }
}

function createNetns(plan: NetnsPlan): LauncherResult {
  const fd = createNetnsSync(plan)
  try {
    return { fd, inode: fstatSync(fd).ino }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function sendable(error: unknown): SentError {
  if (isEngineError(error)) {
    const { kind, code, message, subject, retryable, details, stack } = error
    return { kind, code, message, subject: subject ?? undefined, retryable, details, stack }
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return { kind: 'internal', code: 'host.syscall_failed', message: `The launcher thread failed: ${message}`, stack }
}
