import { callErrors } from '../errors/call-errors.ts'
import type { CallOptions } from '../lifetime/call-options.ts'

export interface CollectOptions extends CallOptions {
  /** Bytes kept per stream; more fails with `logging.output_too_large`. Default 64 MiB. */
  readonly maxBytes?: number | undefined
}

/** Reads both descriptors to their end and closes them. On abort it closes them and rejects. */
export function collectOutput(
  _descriptors: { readonly stdout: number; readonly stderr: number },
  _options?: CollectOptions,
): Promise<{ readonly stdout: Buffer; readonly stderr: Buffer }> {
  throw callErrors.error('internal', { message: 'collectOutput is being written' })
}

/** The bytes of a descriptor as they come, to its end; owns the descriptor, and closes it when the loop is left. */
export function readDescriptor(_fd: number, _call?: CallOptions): AsyncIterable<Uint8Array> & Disposable {
  throw callErrors.error('internal', { message: 'readDescriptor is being written' })
}
