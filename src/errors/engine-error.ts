import type { ErrorKind } from './kinds.ts'

const brand: unique symbol = Symbol.for('tscontainer.error') as never

/** What a failure is about: the object's type and its name, path or id. */
export interface ErrorSubject {
  readonly type: string
  readonly id: string
}

/** What an error is made from. */
export interface EngineErrorInit {
  readonly kind: ErrorKind
  /** Stable and greppable, `family.reason`. Documented in api-docs/guides/errors.md. */
  readonly code: string
  /** What was tried, on what, and what to do next, in one or two sentences. */
  readonly message: string
  readonly subject?: ErrorSubject | undefined
  /** Whether the same call may succeed later without a change. Default false. */
  readonly retryable?: boolean | undefined
  readonly cause?: unknown
  /** Facts for programs: exit codes, limits, the keys that are allowed. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/** Every failure that the engine reports on purpose. Match on `kind` or `code`, never on the message. */
export class EngineError extends Error {
  readonly kind: ErrorKind
  readonly code: string
  readonly subject: ErrorSubject | null
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(init: EngineErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause })
    this.name = init.kind === 'aborted' ? 'AbortError' : 'EngineError'
    this.kind = init.kind
    this.code = init.code
    this.subject = init.subject ?? null
    this.retryable = init.retryable ?? false
    this.details = init.details ?? {}
    Object.defineProperty(this, brand, { value: true })
  }

  /** Two copies of the package in one process agree on what an EngineError is. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** True for errors of this package, of whatever copy; narrows to one kind or code when given. */
export function isEngineError<const Kind extends ErrorKind = ErrorKind, const Code extends string = string>(
  value: unknown,
  match?: { readonly kind?: Kind; readonly code?: Code },
): value is EngineError & { readonly kind: Kind; readonly code: Code } {
  if (!(value instanceof EngineError)) return false
  return (
    (match?.kind === undefined || value.kind === match.kind) && (match?.code === undefined || value.code === match.code)
  )
}
