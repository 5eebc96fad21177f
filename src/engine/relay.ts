import type { Operation, OperationContext } from '../progress/operation.ts'

/** Passes an inner operation's progress on and gives its result. */
export async function relay<T>(inner: Operation<T>, context: OperationContext): Promise<T> {
  for await (const event of inner) context.report(event)
  return inner
}
