import { closeSync, writeSync } from 'node:fs'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import { errnoOf } from '../errors/host-errors.ts'
import { createPipe } from '../host/pipe.ts'
import { spawnDetached } from '../host/spawn-detached.ts'

/** A watcher beside this process, and another one whenever it is killed. Disposal tells it that we leave on purpose. */
export interface Watcher extends Disposable {
  readonly pid: number
}

export interface WatcherOptions {
  /** What it starts when we are killed. */
  readonly command: readonly string[]
  /** Where that one's output goes. */
  readonly log: string
  /** How many deaths in a row there have been. */
  readonly attempt: number
  readonly diagnostics: DiagnosticsSink
}

// fd 3 is the pipe whose other end only the monitor holds. A line means goodbye; end of file means it was killed.
const script = `
if read -r word <&3; then exit 0; fi
exec 3<&-
# After many deaths in a row it takes its time: a monitor that cannot start must not spin.
case $TSCONTAINER_ATTEMPT in 0) ;; [1-4]) sleep "0.$((TSCONTAINER_ATTEMPT * 2))" ;; [5-9]) sleep 5 ;; *) sleep 30 ;; esac
log=$1; shift
TSCONTAINER_ATTEMPT=$((TSCONTAINER_ATTEMPT + 1)) exec "$@" >>"$log" 2>&1
`

/**
 * Starts a sleeping `sh` that starts the monitor again when it is killed, so that the pipes of detached containers find a
 * reader soon. When both are killed the containers' keepers or the next engine do it.
 */
export async function startWatcher(options: WatcherOptions): Promise<Watcher> {
  let current = await spawnWatcher(options)
  let left = false
  const replace = async (): Promise<void> => {
    await current.exited
    if (left) return
    current.close()
    try {
      current = await spawnWatcher({ ...options, attempt: 0 })
    } catch (error) {
      options.diagnostics({
        level: 'error',
        source: 'monitor',
        message: 'The watcher was killed and another could not be started.',
        error,
      })
      return
    }
    if (left) current.leave()
    else await replace()
  }
  void replace()
  return {
    get pid() {
      return current.pid
    },
    [Symbol.dispose]() {
      if (!left) current.leave()
      left = true
    },
  }
}

interface OneWatcher {
  readonly pid: number
  readonly exited: Promise<unknown>
  leave(): void
  close(): void
}

async function spawnWatcher({ command, log, attempt }: WatcherOptions): Promise<OneWatcher> {
  const pipe = createPipe()
  try {
    const { pid, exited } = await spawnDetached({
      file: '/bin/sh',
      args: ['-c', script, 'tscontainer-watcher', log, ...command],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', TSCONTAINER_ATTEMPT: String(attempt) },
      stdio: ['ignore', 'ignore', 'ignore', pipe.read],
    })
    let open = true
    const close = () => {
      if (open) closeSync(pipe.write)
      open = false
    }
    const leave = () => {
      try {
        if (open) writeSync(pipe.write, 'leave\n')
      } catch (error) {
        // Killed just now, and so gone as well.
        if (errnoOf(error) !== 'EPIPE') throw error
      } finally {
        close()
      }
    }
    return { pid, exited, leave, close }
  } catch (error) {
    closeSync(pipe.write)
    throw error
  } finally {
    closeSync(pipe.read)
  }
}
