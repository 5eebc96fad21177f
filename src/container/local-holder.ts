import type { ContainerId } from '../driver-kit/ids.ts'
import type { RunningContainer } from './running-container.ts'

/** The running containers whose pipes and ends this process holds. */
export class LocalHolder {
  readonly #running = new Map<ContainerId, RunningContainer>()
  readonly #trailing = new Set<Promise<void>>()

  get(id: ContainerId): RunningContainer | null {
    return this.#running.get(id) ?? null
  }

  get size(): number {
    return this.#running.size
  }

  all(): readonly RunningContainer[] {
    return [...this.#running.values()]
  }

  hold(id: ContainerId, container: RunningContainer): void {
    this.#running.set(id, container)
  }

  /** Work that goes on after a container's end; disposal waits for it. */
  track(work: Promise<void>): void {
    this.#trailing.add(work)
    void work.finally(() => this.#trailing.delete(work))
  }

  async settle(): Promise<void> {
    await Promise.all(this.#trailing)
  }

  release(id: ContainerId): void {
    this.#running.delete(id)
  }
}
