import { closeSync, writeSync } from 'node:fs'
import { createPipe } from '../host/pipe.ts'
import { spawnDetached } from '../host/spawn-detached.ts'

/** Deaths in a row after which the watcher gives up: a monitor that cannot start must not spin for ever. */
const maxAttempts = 5

/** Says to the watcher that the monitor leaves on purpose. */
export interface Watcher extends Disposable {
  readonly pid: number
}

// fd 3 is the pipe whose other end only the monitor holds. A line means goodbye; end of file means it was killed.
const script = `
if read -r word <&3; then exit 0; fi
exec 3<&-
[ "$TSCONTAINER_ATTEMPT" -ge ${maxAttempts} ] && exit 1
sleep "0.$((TSCONTAINER_ATTEMPT * 2))"
TSCONTAINER_ATTEMPT=$((TSCONTAINER_ATTEMPT + 1)) exec "$@"
`

/**
 * A sleeping `sh` that starts the monitor again when it is killed, so that the pipes of detached containers find a
 * reader soon. When both are killed the next engine does it.
 */
export async function startWatcher(command: readonly string[], attempt: number): Promise<Watcher> {
  const pipe = createPipe()
  try {
    const { pid } = await spawnDetached({
      file: '/bin/sh',
      args: ['-c', script, 'tscontainer-watcher', ...command],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', TSCONTAINER_ATTEMPT: String(attempt) },
      stdio: ['ignore', 'ignore', 'ignore', pipe.read],
    })
    let left = false
    return {
      pid,
      [Symbol.dispose]() {
        if (left) return
        left = true
        writeSync(pipe.write, 'leave\n')
        closeSync(pipe.write)
      },
    }
  } catch (error) {
    closeSync(pipe.write)
    throw error
  } finally {
    closeSync(pipe.read)
  }
}
