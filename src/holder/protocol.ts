import { EngineError } from '../errors/engine-error.ts'
import { holderErrors } from '../errors/holder-errors.ts'
import { type ErrorKind, errorKinds } from '../errors/kinds.ts'

/** Grows when a message changes its meaning; a holder serves every protocol up to its own. */
export const protocolVersion = 3

/** The first frame of a connection; one connection serves one request. */
export type HolderRequest = { readonly protocol: number } & (
  | { readonly op: 'ping' }
  /** Starts a created or exited container; answered when its program runs. */
  | { readonly op: 'start'; readonly id: string }
  /** Live bytes from now on, with `replay` (since protocol 3) all that the log holds before; stdin frames go to the program, and each is answered when the program's pipe has it. */
  | { readonly op: 'attach'; readonly id: string; readonly stdin: boolean; readonly replay?: boolean }
)

export type HolderReply =
  | { readonly ok: true; readonly pid: number }
  | { readonly ok: false; readonly error: WireError }

export type OutputStream = 'stdout' | 'stderr'

/** So many bytes of each stream an attached peer gets unasked. */
export const windowBytes = 256 << 10

/**
 * What an attached peer says of a stream, since protocol 3: it has taken so many bytes and gets as many more, or it wants
 * none any more. An older peer gets both streams at the pace of its socket.
 */
export type StreamOrder =
  | { readonly op: 'widen'; readonly stream: OutputStream; readonly bytes: number }
  | { readonly op: 'release'; readonly stream: OutputStream }

/** What an attached peer is told after the reply: a stream's end, or why both end early. */
export type StreamNotice = { readonly ended: OutputStream } | Extract<HolderReply, { readonly ok: false }>

/** An EngineError as data. */
export interface WireError {
  readonly kind: string
  readonly code: string
  readonly message: string
  readonly subject: { readonly type: string; readonly id: string } | null
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>
}

export function toWire(error: unknown): WireError {
  if (error instanceof EngineError) {
    const { kind, code, message, subject, retryable, details } = error
    return { kind, code, message, subject, retryable, details }
  }
  return {
    kind: 'internal',
    code: 'holder.remote',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    subject: null,
    retryable: false,
    details: {},
  }
}

export function fromWire(wire: WireError): EngineError {
  const kind = errorKinds.find((known): known is ErrorKind => known === wire.kind)
  if (!kind) return holderErrors.error('remote', { message: wire.message, details: wire.details })
  return new EngineError({
    kind,
    code: wire.code,
    message: wire.message,
    subject: wire.subject ?? undefined,
    retryable: wire.retryable,
    details: wire.details,
  })
}
