import type { CallOptions } from '../../lifetime/call-options.ts'

/** All paths are cgroup paths below the hierarchies' roots, such as `/tscontainer/<id>/<container>`. */

/** Whether the cgroup exists in any hierarchy. */
export function cgroupExists(_path: string): boolean {
  throw new Error('being written')
}
/** Pids in it and below it. */
export function processesOf(_path: string): number[] {
  throw new Error('being written')
}
/** Ends every process in it and below it, also those that fork meanwhile; resolves when none is left. */
export async function killTree(_path: string, _call?: CallOptions & { readonly timeoutMs?: number }): Promise<void> {
  throw new Error('being written')
}
/** Removes it and everything below in every hierarchy; waits while dying processes keep it busy. Idempotent. */
export async function removeTree(_path: string, _call?: CallOptions & { readonly timeoutMs?: number }): Promise<void> {
  throw new Error('being written')
}
/** How many of its processes the kernel killed for want of memory; 0 where that is not counted. */
export function readOomKills(_path: string): number {
  throw new Error('being written')
}
/** Stops all its processes; resolves when the kernel confirms. */
export async function freeze(_path: string, _call?: CallOptions): Promise<void> {
  throw new Error('being written')
}
export async function thaw(_path: string, _call?: CallOptions): Promise<void> {
  throw new Error('being written')
}
export function isFrozen(_path: string): boolean {
  throw new Error('being written')
}
/** Ids of engines and monitors that have cgroups now, from all hierarchies. */
export function listParents(): string[] {
  throw new Error('being written')
}
