import { Readable, type Writable, Writable as WritableStream } from 'node:stream'
import { containerErrors } from '../errors/container-errors.ts'
import type { HeldStreams } from '../holder/holder-server.ts'
import type { RemoteStreams } from '../holder/remote-attachment.ts'
import type { CallOptions } from '../lifetime/call-options.ts'
import type { ContainerRecord } from './container-record.ts'
import type { LocalHolder } from './local-holder.ts'
import { requireRunning } from './state-guards.ts'

export interface AttachContainerOptions extends CallOptions {
  /** Begin with all that the log holds. Default false: from now on. */
  readonly replay?: boolean
}

/**
 * A running container's standard streams, apart and byte-exact. The signal given to `attach` holds for them, too: reading
 * fails with its `AbortError`. Disposal of the engine lets them go.
 */
export interface AttachedStreams extends AsyncDisposable {
  /** Null when the container was created without `stdin: true`. Ending it gives the program end of file. */
  readonly stdin: Writable | null
  readonly stdout: Readable
  readonly stderr: Readable
  /** Lets go; the container goes on. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Attaches to a container that this process holds. */
export function attachHeld(
  holder: LocalHolder,
  record: ContainerRecord,
  options: AttachContainerOptions = {},
): AttachedStreams | null {
  requireRunning(record, 'attach')
  const held = holder.get(record.id)
  if (!held) return null
  const output = held.pump.attach(options)
  const writer = held.stdin
  return {
    stdin:
      writer &&
      new WritableStream({
        write: (chunk: Buffer, _encoding, done) => void writer.write(chunk).then(() => done(), done),
        final: (done) => void writer.end().then(() => done(), done),
      }),
    stdout: Readable.from(output.stdout, { objectMode: false }),
    stderr: Readable.from(output.stderr, { objectMode: false }),
    async [Symbol.asyncDispose]() {
      output[Symbol.dispose]()
    },
  }
}

/** The same for a container that the monitor holds. */
export function attachedRemotely(streams: RemoteStreams): AttachedStreams {
  return {
    stdin: streams.stdin,
    stdout: streams.stdout,
    stderr: streams.stderr,
    async [Symbol.asyncDispose]() {
      streams.detach()
    },
  }
}

/** What a holder serves to an attached peer. */
export function serveStreams(
  holder: LocalHolder,
  record: ContainerRecord,
  stdin: boolean,
  replay: boolean,
): HeldStreams {
  requireRunning(record, 'attach')
  const held = holder.get(record.id)
  if (!held)
    throw containerErrors.error('not_running', {
      message: `${record.name} ended before it could be attached to.`,
      subject: { type: 'container', id: record.id },
    })
  if (stdin && !held.stdin) throw noStdin(record)
  const writer = stdin ? held.stdin : null
  const output = held.pump.attach({ replay })
  return {
    output,
    writeStdin: writer && ((bytes) => writer.write(bytes)),
    endStdin: writer && (() => writer.end()),
  }
}

/** The refusal for a container without standard input. */
export const noStdin = (record: ContainerRecord) =>
  containerErrors.error('no_stdin', {
    message: `${record.name} was created without stdin: true, so nothing can be written to its program.`,
    subject: { type: 'container', id: record.id },
  })
