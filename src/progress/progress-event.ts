/** What a long operation reports. Stages are stable words; items are ids such as digests or names. */
export type ProgressEvent =
  | { readonly type: 'stage'; readonly stage: string }
  | { readonly type: 'bytes'; readonly item: string; readonly done: number; readonly total: number | null }
  /** `reused`: the item was present and nothing had to be done for it. */
  | { readonly type: 'item-done'; readonly item: string; readonly reused: boolean }
  | { readonly type: 'message'; readonly text: string }

/** Where work reports its progress; never blocks and never throws. */
export type ProgressSink = (event: ProgressEvent) => void
