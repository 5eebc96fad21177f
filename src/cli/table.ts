/** Rows as columns of equal width, the headings first. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')
  return all.map((row) => `${line(row).trimEnd()}\n`).join('')
}

/** Bytes as people read them: `12.3MB`; powers of 1000. */
export function readableSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let at = 0
  let value = bytes
  for (; value >= 1000 && at < units.length - 1; at++) value /= 1000
  return `${at === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))}${units[at]}`
}

/** The first 12 digits of an id. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12)
