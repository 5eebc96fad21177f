import type { ContainerId } from '../driver-kit/ids.ts'
import type { RunningContainer } from './running-container.ts'

/** The running containers whose pipes and ends this process holds. */
export class LocalHolder {
  readonly #running = new Map<ContainerId, RunningContainer>()

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

  release(id: ContainerId): void {
    this.#running.delete(id)
  }
}
