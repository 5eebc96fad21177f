import { closeSync } from 'node:fs'
import type { EngineError } from '../../errors/engine-error.ts'
import { errnoOf, systemError } from '../../errors/host-errors.ts'
import { errnoName } from '../syscall/libc.ts'
import { AF, MSG, receive, SOCK, SOL, sendInBackground, sendTo, setSocketOption, socket } from '../syscall/socket.ts'
import { Attributes, type ReceivedMessage, readMessages } from './message-reader.ts'
import { type MessageWriter, NLM_F, type SentMessage } from './message-writer.ts'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
// Source: linux/netlink.h.
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
const SO_RCVBUFFORCE = 33

const attempts = 10

/** What a request brought: data messages, in the kernel's order. */
export type Reply = readonly ReceivedMessage[]

/** Something in the way of one attempt; the whole request may be sent again. */
class Interrupted {
  readonly reason: 'changed' | 'overrun' | 'truncated'
  constructor(reason: 'changed' | 'overrun' | 'truncated') {
    this.reason = reason
  }
}

/**
 * A netlink(7) socket in the calling thread's network namespace, for synchronous exchanges: the kernel answers inside
 * the sending call, so nothing here ever waits. Cheap enough (6 µs) to be opened for each use.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number
  #buffer: Buffer
  #open = true

  constructor(protocol: number, bufferSize = 32 << 10) {
    this.#fd = socket(AF.NETLINK, SOCK.RAW, protocol)
    this.#buffer = Buffer.allocUnsafe(bufferSize)
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) this.#tryOption(SOL.NETLINK, option, 1)
  }

  /**
   * Sends the messages and reads until each one that asks for an answer (ACK or DUMP) has it. Throws the first failure:
   * what it was about, the errno and the kernel's own words.
   */
  exchange(writer: MessageWriter): Reply {
    this.#send(writer.finish())
    return this.#answers(writer)
  }

  /** Like `exchange`, for what makes the kernel wait: a pool thread sends, this one goes on. */
  async exchangeInBackground(writer: MessageWriter): Promise<Reply> {
    await this.#sendInBackground(writer)
    return this.#answers(writer)
  }

  /**
   * Asks for something that changes nothing. Asks again when the kernel's tables changed while they were read
   * (NLM_F_DUMP_INTR), when the receive buffer was too small, or when messages were lost (ENOBUFS).
   */
  query(make: () => MessageWriter): Reply {
    for (let attempt = 1; ; attempt++) {
      const writer = make()
      try {
        this.#send(writer.finish())
        return this.#collect(writer)
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error
        if (attempt === attempts) throw failure(writer.sent[0], error.reason === 'changed' ? 'EINTR' : 'ENOBUFS')
        this.#drain()
        if (error.reason === 'truncated') this.#buffer = Buffer.allocUnsafe(2 * this.#buffer.length)
        if (error.reason === 'overrun') this.#tryOption(SOL.SOCKET, SO_RCVBUFFORCE, 1 << (20 + Math.min(attempt, 6)))
      }
    }
  }

  /**
   * Sends a batch of nfnetlink: all of it happens, or nothing and the first failure is thrown. In a pool thread, because
   * the kernel may wait for a grace period (10-25 ms).
   */
  async transact(writer: MessageWriter): Promise<void> {
    await this.#sendInBackground(writer)
    this.#readOutcome(writer)
  }

  /** Reads all there is: failures may be told of any message of a batch, also of those that asked for no answer. */
  #readOutcome(writer: MessageWriter): void {
    const waiting = new Map(writer.sent.map((message) => [message.sequence, message]))
    let failed: unknown = null
    for (let messages = this.#receive(); messages; messages = this.#receive())
      for (const message of messages) {
        const sent = waiting.get(message.sequence)
        if (!sent || message.type !== NLMSG_ERROR) continue
        const error = readError(message, sent)
        // Later ones are mostly consequences.
        if (error) failed ??= error
        else waiting.delete(message.sequence)
      }
    if (failed) throw failed
    for (const sent of waiting.values()) if (sent.flags & NLM_F.ACK) throw failure(sent, 'EAGAIN')
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#fd)
    this.#open = false
  }

  #answers(writer: MessageWriter): Reply {
    try {
      return this.#collect(writer)
    } catch (error) {
      if (error instanceof Interrupted) throw failure(writer.sent[0], 'ENOBUFS')
      throw error
    }
  }

  #collect(writer: MessageWriter): Reply {
    const waiting = new Map(writer.sent.filter((m) => m.flags & NLM_F.ACK || isDump(m)).map((m) => [m.sequence, m]))
    const data: ReceivedMessage[] = []
    let failed: unknown = null
    while (waiting.size > 0) {
      const messages = this.#receive()
      if (!messages) throw failed ?? failure([...waiting.values()][0], 'EAGAIN')
      for (const message of messages) {
        const about = waiting.get(message.sequence)
        if (!about) continue
        if (message.flags & NLM_F.DUMP_INTR && isDump(about)) failed ??= new Interrupted('changed')
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          waiting.delete(message.sequence)
          failed ??= readError(message, about)
        } else data.push(message)
      }
    }
    if (failed) throw failed
    return data
  }

  async #sendInBackground(writer: MessageWriter): Promise<void> {
    const bytes = writer.finish()
    // A failure to send at all is told by trying it once more where its errno can be read.
    if (!(await sendInBackground(this.#fd, bytes))) this.#send(bytes)
  }

  #send(bytes: Uint8Array): void {
    for (;;) {
      try {
        sendTo(this.#fd, bytes)
        return
      } catch (error) {
        // Before the kernel took anything: the answers come inside the call and are not lost by asking again.
        if (errnoOf(error) !== 'EINTR') throw error
      }
    }
  }

  /** `null` when nothing more is there. */
  #receive(): ReceivedMessage[] | null {
    for (;;) {
      let length: number | null
      try {
        length = receive(this.#fd, this.#buffer, MSG.DONTWAIT | MSG.TRUNC)
      } catch (error) {
        if (errnoOf(error) === 'EINTR') continue
        if (errnoOf(error) === 'ENOBUFS') throw new Interrupted('overrun')
        throw error
      }
      if (length === null) return null
      if (length > this.#buffer.length) throw new Interrupted('truncated')
      // A copy: the buffer is used again by the next call.
      return [...readMessages(Buffer.from(this.#buffer.subarray(0, length)))]
    }
  }

  #drain(): void {
    for (;;) {
      try {
        if (!this.#receive()) return
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error
      }
    }
  }

  // Old kernels lack some; the answers are only poorer then.
  #tryOption(level: number, option: number, value: number): void {
    try {
      setSocketOption(this.#fd, level, option, new Uint8Array(new Int32Array([value]).buffer))
    } catch (error) {
      if (errnoOf(error) === null) throw error
    }
  }
}

// Its two bits mean other things in requests that change something.
const isDump = (message: SentMessage) => (message.flags & (NLM_F.DUMP | NLM_F.CREATE)) === NLM_F.DUMP

/** The failure that an acknowledgement or the end of a dump tells; `null` for success. */
function readError(message: ReceivedMessage, sent: SentMessage): EngineError | null {
  const { body, flags, type } = message
  const number = body.length >= 4 ? body.readInt32LE(0) : 0
  if (number === 0) return null
  let said: string | null = null
  if (flags & NLM_F_ACK_TLVS) {
    const header = type === NLMSG_DONE ? 4 : 20
    const echoed = type === NLMSG_DONE || flags & NLM_F_CAPPED ? 0 : body.readUInt32LE(4) - 16
    said = new Attributes(body, header + ((echoed + 3) & ~3)).text(NLMSGERR_ATTR_MSG)
  }
  return failure(sent, errnoName(-number), said)
}

function failure(sent: SentMessage | undefined, errno: string, said: string | null = null): EngineError {
  const what = sent?.what ?? 'A netlink request'
  return systemError({ errno, syscall: 'netlink', what: said ? `${what} (the kernel says: ${said})` : what })
}
