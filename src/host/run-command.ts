import type { CommandOptions, CommandResult } from './command.ts'

/** Runs a program to its end without a shell. */
export async function runCommand(
  _file: string,
  _args: readonly string[],
  _options: CommandOptions = {},
): Promise<CommandResult> {
  throw new Error('being written')
}
