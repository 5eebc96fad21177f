import { type Result, reached } from './row.ts'

const number = (value: number | undefined): string =>
  value === undefined ? '-' : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

function goalOf(result: Result): string {
  return result.goal.kind === 'ratio'
    ? `<= ${result.goal.max.toFixed(1)}x bare`
    : `<= ${result.goal.max} ${result.unit}`
}

function outcomeOf(result: Result): string {
  const outcome = reached(result)
  if (outcome === null) return '-'
  const value =
    result.goal.kind === 'ratio' ? `${outcome.value.toFixed(2)}x` : `${number(outcome.value)} ${result.unit}`
  return outcome.met ? value : `${value}, missed`
}

/** The table as Markdown, as it stands in the README. */
export function renderTable(results: readonly Result[]): string {
  const peers = ['docker', 'podman'].filter((name) => results.some((result) => result.figures[name] !== undefined))
  const head = ['work', 'unit', 'tscontainer', 'bare limit', ...peers, 'goal', 'reached']
  const rows = results.map((result) => [
    result.row,
    result.unit,
    number(result.figures['tscontainer']),
    number(result.figures['bare']),
    ...peers.map((name) => number(result.figures[name])),
    goalOf(result),
    outcomeOf(result),
  ])
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
