import { channel } from 'node:diagnostics_channel'
import type { Diagnostic, DiagnosticsSink } from '../driver-kit/diagnostics.ts'

/** Every diagnostic of every engine is also published here (node:diagnostics_channel). */
const diagnosticsChannelName = 'tscontainer:diagnostics'

/**
 * Warnings and background errors go to the given sink and to the channel. Without a sink, warnings and errors go to
 * `process.emitWarning`, so that nothing is lost in silence.
 */
export function createDiagnostics(sink: DiagnosticsSink | undefined): DiagnosticsSink {
  const published = channel(diagnosticsChannelName)
  return (diagnostic) => {
    if (published.hasSubscribers) published.publish(diagnostic)
    if (sink) {
      try {
        sink(diagnostic)
      } catch (error) {
        process.emitWarning(`The diagnostics sink of tscontainer threw: ${String(error)}`)
      }
    } else if (diagnostic.level === 'warning' || diagnostic.level === 'error') {
      process.emitWarning(describe(diagnostic), { type: 'TscontainerWarning' })
    }
  }
}

function describe(diagnostic: Diagnostic): string {
  const cause = diagnostic.error === undefined ? '' : ` (${String(diagnostic.error)})`
  return `${diagnostic.source}: ${diagnostic.message}${cause}`
}
