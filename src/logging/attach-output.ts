import type { CallOptions } from '../lifetime/call-options.ts'

export interface AttachOptions extends CallOptions {
  /** Begin with all that the log holds instead of with what comes from now on. Default false. */
  readonly replay?: boolean | undefined
}

/**
 * A container's output as bytes. Each stream is read once, at the reader's own pace: one that falls behind goes on from
 * the stored log, so that it never holds up the container.
 */
export interface AttachedOutput extends Disposable {
  readonly stdout: AsyncIterable<Uint8Array>
  readonly stderr: AsyncIterable<Uint8Array>
}
