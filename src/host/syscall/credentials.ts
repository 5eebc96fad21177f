import { bind, check } from './libc.ts'

const setfsuidCall = bind<[number]>('setfsuid', 'int', ['uint'])
const setfsgidCall = bind<[number]>('setfsgid', 'int', ['uint'])
const capgetCall = bind<[Uint8Array, Uint8Array]>('capget', 'int', ['void *', 'void *'])
const capsetCall = bind<[Uint8Array, Uint8Array]>('capset', 'int', ['void *', 'void *'])

/** Version 3 of the header, the calling thread. Source: capget(2). */
const header = (): Uint8Array => new Uint8Array(new Uint32Array([0x20080522, 0]).buffer)

/**
 * Runs `work` with another owner for what the calling thread makes in file systems, and with all its rights. Synchronous;
 * the rest of the process notices nothing. Source: setfsuid(2): leaving 0 drops the rights over files, coming back to 0
 * brings them back.
 */
export function asFileOwner<T>(uid: number, gid: number, work: () => T): T {
  const [formerUid, formerGid] = [setfsuidCall(uid) >>> 0, setfsgidCall(gid) >>> 0]
  try {
    raiseCapabilities()
    return work()
  } finally {
    setfsgidCall(formerGid)
    setfsuidCall(formerUid)
    raiseCapabilities()
  }
}

/** What is permitted becomes effective. */
function raiseCapabilities(): void {
  // Twice effective, permitted, inheritable: 32 capabilities each.
  const sets = new Uint32Array(6)
  const bytes = new Uint8Array(sets.buffer)
  check(capgetCall(header(), bytes), 'capget')
  sets[0] = sets[1]!
  sets[3] = sets[4]!
  check(capsetCall(header(), bytes), 'capset')
}
