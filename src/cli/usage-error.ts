/** A mistake on the command line: its message and the usage are printed, and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What a command is run with. */
export interface Streams {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}

/** A command gets the arguments after its name and gives the exit code. */
export type Command = (args: readonly string[], streams: Streams) => Promise<number>
