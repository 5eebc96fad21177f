import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a request is for. */
export type RegistryRequestKind =
  | 'ping'
  | 'manifest'
  | 'blob'
  | 'upload'
  | 'tags'
  | 'catalog'
  | 'search'
  | 'token'
  | 'unknown'

/** How an answer is spoilt. `after` and `at` count bytes of the body, which `cut`, `reset` and `stall` of uploads count in the request's. */
export type RegistryFaultKind =
  /** Another answer. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string | Uint8Array
    }
  /** The right answer with other headers. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string>> }
  /** The connection is closed though more was announced. */
  | { readonly kind: 'cut'; readonly after: number }
  /** The connection is reset (RST). */
  | { readonly kind: 'reset'; readonly after: number }
  /** What was asked is done, and the connection is closed instead of an answer. */
  | { readonly kind: 'lost' }
  /** Less than there is, announced as the whole. */
  | { readonly kind: 'short'; readonly after: number }
  /** More than there is, announced as the whole. */
  | { readonly kind: 'long'; readonly bytes: number }
  /** Nothing more comes; the connection stays. */
  | { readonly kind: 'stall'; readonly after: number }
  /** A piece of `bytes` every `everyMs`. */
  | { readonly kind: 'slow'; readonly bytes: number; readonly everyMs: number }
  /** One bit is wrong. */
  | { readonly kind: 'corrupt'; readonly at: number }
  /** Spaces without end, with the right answer's status or another one. */
  | { readonly kind: 'endless'; readonly status?: number; readonly headers?: Readonly<Record<string, string>> }
  /** Sends elsewhere; `{path}` stands for the path and query that was asked for. To the same address: a loop. */
  | { readonly kind: 'redirect'; readonly to: string; readonly status?: number }
  /** Ranges are not understood: the whole is sent. */
  | { readonly kind: 'whole' }

/** A fault and the requests it meets. */
export type RegistryFault = RegistryFaultKind & {
  /** Default: every request. */
  readonly on?: RegistryRequestKind | undefined
  /** A part of the path, such as a digest. Default: any. */
  readonly path?: string | undefined
  /** Default: any. */
  readonly method?: string | undefined
  /** How many requests meet it. Default: all. */
  readonly times?: number | undefined
}

/** An answer before anything spoils it. */
export interface RegistryReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Sends an answer, spoilt by a fault when there is one. */
export async function sendReply(
  reply: RegistryReply,
  fault: RegistryFault | null,
  url: string,
  response: ServerResponse,
): Promise<void> {
  if (fault?.kind === 'lost') {
    response.destroy()
    return
  }
  const spoilt = fault ? spoil(reply, fault, url) : reply
  const length = spoilt.headers['content-length'] ?? String(spoilt.body.length)
  const headers = { ...spoilt.headers, ...(fault?.kind === 'endless' ? {} : { 'content-length': length }) }
  response.writeHead(spoilt.status, headers)
  if (response.req.method === 'HEAD') {
    response.end()
    return
  }
  switch (fault?.kind) {
    case 'cut':
    case 'reset':
      await sendPart(response, spoilt.body.subarray(0, fault.after))
      if (fault.kind === 'cut') response.destroy()
      else response.socket?.resetAndDestroy()
      return
    case 'stall':
      await sendPart(response, spoilt.body.subarray(0, fault.after))
      return
    case 'slow':
      for (let at = 0; at < spoilt.body.length && !response.destroyed; at += fault.bytes) {
        response.write(spoilt.body.subarray(at, at + fault.bytes))
        await sleep(fault.everyMs)
      }
      response.end()
      return
    case 'endless': {
      const spaces = Buffer.alloc(65_536, ' ')
      while (!response.destroyed) if (!response.write(spaces)) await drained(response)
      return
    }
    default:
      response.end(spoilt.body)
  }
}

function spoil(reply: RegistryReply, fault: RegistryFault, url: string): RegistryReply {
  switch (fault.kind) {
    case 'answer':
      return { status: fault.status, headers: fault.headers ?? {}, body: Buffer.from(fault.body ?? '') }
    case 'headers':
      return { ...reply, headers: { ...reply.headers, ...fault.headers } }
    case 'endless':
      return { ...reply, status: fault.status ?? reply.status, headers: { ...reply.headers, ...fault.headers } }
    case 'short':
      return { ...reply, body: reply.body.subarray(0, fault.after) }
    case 'long':
      return { ...reply, body: Buffer.concat([reply.body, Buffer.alloc(fault.bytes, 'x')]) }
    case 'corrupt': {
      const body = Buffer.from(reply.body)
      if (fault.at < body.length) body[fault.at]! ^= 1
      return { ...reply, body }
    }
    case 'redirect':
      return {
        status: fault.status ?? 307,
        headers: { location: fault.to.replace('{path}', url) },
        body: Buffer.alloc(0),
      }
    default:
      return reply
  }
}

/** What was written before a connection ends goes out first. */
async function sendPart(response: ServerResponse, part: Buffer): Promise<void> {
  response.flushHeaders()
  if (part.length > 0) await new Promise<void>((resolve) => response.write(part, () => resolve()))
  await sleep(5)
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}
