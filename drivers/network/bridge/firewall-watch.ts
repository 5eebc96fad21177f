import type { BridgeRules, DriverContext, EndpointId } from 'tscontainer/driver-kit'

const everyMs = 3_000

/**
 * Looks after the firewall rules of bridges while this process has containers on them: other programs flush the host's
 * rules (a reload of a firewall service does), and nobody tells. One look costs 0.1 ms; the timer keeps no process alive.
 */
export class FirewallWatch implements AsyncDisposable {
  readonly #context: DriverContext
  readonly #ensure: (rules: BridgeRules) => Promise<boolean>
  readonly #watched = new Map<EndpointId, BridgeRules>()
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null
  #disposed = false

  constructor(context: DriverContext, ensure: (rules: BridgeRules) => Promise<boolean>) {
    this.#context = context
    this.#ensure = ensure
  }

  add(endpoint: EndpointId, rules: BridgeRules): void {
    this.#watched.set(endpoint, rules)
    if (!this.#disposed) this.#timer ??= setInterval(() => this.#lookOnce(), everyMs).unref()
  }

  delete(endpoint: EndpointId): void {
    this.#watched.delete(endpoint)
    if (this.#watched.size === 0) this.#stop()
  }

  /** Afterwards nothing here touches the rules of this bridge any more. */
  async forget(bridge: string): Promise<void> {
    for (const [endpoint, rules] of this.#watched) if (rules.bridge === bridge) this.delete(endpoint)
    await this.#looking
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    this.#watched.clear()
    this.#stop()
    await this.#looking
  }

  #lookOnce(): void {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
  }

  async #look(): Promise<void> {
    const bridges = new Map([...this.#watched.values()].map((rules) => [rules.bridge, rules]))
    for (const rules of bridges.values()) {
      if (![...this.#watched.values()].some(({ bridge }) => bridge === rules.bridge)) continue
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
