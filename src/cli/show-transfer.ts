import type { Operation } from '../progress/operation.ts'

const short = (item: string) => item.replace(/^sha256:/, '').slice(0, 12)

/** Tells what of a transfer is done, a line each, as it comes. */
export async function showTransfer(operation: Operation<unknown>, to: NodeJS.WritableStream): Promise<void> {
  for await (const event of operation) {
    if (event.type === 'message') to.write(`${event.text}\n`)
    if (event.type === 'item-done') to.write(`${short(event.item)} ${event.reused ? 'is there' : 'done'}\n`)
  }
}
