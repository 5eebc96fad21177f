/** A warning or background error: nothing failed for the caller, but somebody should know. */
export interface Diagnostic {
  readonly level: 'debug' | 'info' | 'warning' | 'error'
  /** Who reports: `storage.overlay2`, `log.json-file`, `container`. */
  readonly source: string
  readonly message: string
  readonly error?: unknown
  readonly subject?: string
}

/** Where diagnostics go. Must not throw. */
export type DiagnosticsSink = (diagnostic: Diagnostic) => void
