import type { EngineErrorInit } from '../errors/engine-error.ts'
import type { LaunchRequest, ProcessExit, RootMount } from './launcher.ts'
import type { NetnsPlan } from './netns-plan.ts'

/** What the launcher thread is given when it is started. */
export interface LauncherData {
  /** An eventfd. */
  readonly wake: number
  /** Of its `ThreadStop`. */
  readonly stop: Int32Array<SharedArrayBuffer>
}

/** What the main thread asks of the launcher thread; `id` comes back in the reply. */
export type LauncherCall =
  | { readonly id: number; readonly verb: 'launch'; readonly request: LaunchRequest }
  | { readonly id: number; readonly verb: 'mount'; readonly root: RootMount }
  | { readonly id: number; readonly verb: 'unmount'; readonly lease: number }
  | { readonly id: number; readonly verb: 'netns'; readonly plan: NetnsPlan }
  /** Sets the thread up, for a quick first call. */
  | { readonly id: number; readonly verb: 'prepare' }
  /** SIGKILL to a program by the id of its launch; has no reply. */
  | { readonly id: number; readonly verb: 'kill' }

export type LauncherResult =
  | { readonly pid: number }
  /** Of a mounted tree. */
  | { readonly path: string }
  | { readonly fd: number; readonly inode: number }
  /** The last hold on an unmounted tree, for the receiver to close. */
  | { readonly held: number | null }
  | null

export type LauncherReply =
  | { readonly id: number; readonly result: LauncherResult }
  | { readonly id: number; readonly error: SentError }
  /** The program of the launch `id` ended. */
  | { readonly id: number; readonly exit: ProcessExit }

/** An error in a form that survives the way between threads. */
export type SentError = EngineErrorInit & { readonly stack?: string | undefined }
