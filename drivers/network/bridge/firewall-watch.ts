import type { BridgeRules, DriverContext, EndpointId } from 'tscontainer/driver-kit'

const everyMs = 3_000

/**
 * Looks after the firewall rules of bridges while this process has containers on them: other programs flush the host's
 * rules (a reload of a firewall service does), and nobody tells. One look costs 0.1 ms; the timer keeps no process alive.
 */
export class FirewallWatch implements Disposable {
  readonly #context: DriverContext
  readonly #ensure: (rules: BridgeRules) => Promise<boolean>
  readonly #watched = new Map<EndpointId, BridgeRules>()
  #timer: NodeJS.Timeout | null = null
  #disposed = false

  constructor(context: DriverContext, ensure: (rules: BridgeRules) => Promise<boolean>) {
    this.#context = context
    this.#ensure = ensure
  }

  add(endpoint: EndpointId, rules: BridgeRules): void {
    this.#watched.set(endpoint, rules)
    if (!this.#disposed) this.#timer ??= setInterval(() => void this.#look(), everyMs).unref()
  }

  delete(endpoint: EndpointId): void {
    this.#watched.delete(endpoint)
    if (this.#watched.size === 0) this.#stop()
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#watched.clear()
    this.#stop()
  }

  async #look(): Promise<void> {
    const bridges = new Map([...this.#watched.values()].map((rules) => [rules.bridge, rules]))
    for (const rules of bridges.values()) {
      try {
        if (await this.#ensure(rules))
          this.#context.diagnostics({
            level: 'info',
            source: 'network.bridge',
            message: `Another program had removed firewall rules of ${rules.bridge}; they are back.`,
          })
      } catch (error) {
        this.#context.diagnostics({
          level: 'error',
          source: 'network.bridge',
          message: `The firewall rules of ${rules.bridge} could not be looked after: containers may have lost their way out.`,
          error,
        })
      }
    }
  }

  #stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
  }
}
