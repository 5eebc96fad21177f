import type { Attachment, AttachRequest, NetworkDriver } from 'tscontainer/driver-kit'

/** The stack of this machine itself: no namespace, no address of its own, every port shared. */
export class HostDriver implements NetworkDriver {
  readonly name = 'host'
  readonly addressing = 'none'

  async create(): Promise<void> {}
  async delete(): Promise<void> {}

  async attach({ endpoint, network, container }: AttachRequest): Promise<Attachment> {
    return { endpoint, network: network.id, container, namespace: 'host', link: null }
  }

  async detach(): Promise<void> {}

  async reconcile(): Promise<{ readonly removed: readonly string[] }> {
    return { removed: [] }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
