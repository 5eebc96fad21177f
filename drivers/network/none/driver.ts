import type { Attachment, AttachRequest, NetworkDriver } from 'tscontainer/driver-kit'

/** A namespace of the container's own with nothing but loopback. */
export class NoneDriver implements NetworkDriver {
  readonly name = 'none'
  readonly addressing = 'none'

  async create(): Promise<void> {}
  async delete(): Promise<void> {}

  async attach({ endpoint, network, container }: AttachRequest): Promise<Attachment> {
    return { endpoint, network: network.id, container, namespace: 'private', link: null }
  }

  async detach(): Promise<void> {}

  async reconcile(): Promise<{ readonly removed: readonly string[] }> {
    return { removed: [] }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
