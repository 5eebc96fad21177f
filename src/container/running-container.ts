import type { LogSink } from '../driver-kit/log-driver.ts'
import type { RuntimeExit, RuntimeTask } from '../driver-kit/runtime-driver.ts'
import type { LogPump } from '../logging/log-pump.ts'
import type { Keeper } from './keeper.ts'
import type { ContainerNetworking } from './services.ts'
import type { StdinWriter } from './stdin-writer.ts'

/** What this process holds of a container that runs. */
export interface RunningContainer {
  readonly task: RuntimeTask
  readonly pump: LogPump
  readonly sink: LogSink
  readonly stdin: StdinWriter | null
  /** Of a detached container. */
  readonly keeper: Keeper | null
  readonly networking: ContainerNetworking | null
  /** Settles when the program has ended, its last line is stored and the record says so. Never rejects. */
  readonly finished: Promise<RuntimeExit>
}
