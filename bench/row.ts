import type { Setting } from './setting.ts'

/** What a row must reach. */
export type Goal =
  /** tscontainer's figure, at most so many times the bare limit's. */
  | { readonly kind: 'ratio'; readonly max: number }
  /** tscontainer's figure itself, in the row's unit. */
  | { readonly kind: 'absolute'; readonly max: number }

export interface Result {
  readonly row: string
  readonly unit: 'ms' | 's' | 'MB'
  /** Medians by contestant: tscontainer, bare, and docker or podman where they are installed. */
  readonly figures: Readonly<Record<string, number>>
  readonly goal: Goal
}

export interface RowGroup {
  /** What `--only` selects it by. */
  readonly name: string
  measure(setting: Setting): Promise<readonly Result[]>
}

/** How far a result is from its goal; 1 or less is reached. Null when the bare figure is missing. */
export function reached(result: Result): { readonly value: number; readonly met: boolean } | null {
  const own = result.figures['tscontainer']
  if (own === undefined) return null
  if (result.goal.kind === 'absolute') return { value: own, met: own <= result.goal.max }
  const bare = result.figures['bare']
  return bare === undefined ? null : { value: own / bare, met: own / bare <= result.goal.max }
}
