const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
}

/** Bytes of a number or of text such as `64m`, `1.5g`, `512MiB`, `4096` (powers of 1024, as Docker reads them); null for what is no size. */
export function parseBytes(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null
  if (typeof value !== 'string') return null
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(value.trim())
  if (!match) return null
  const size = Math.trunc(Number(match[1]) * units[match[2]!.toLowerCase()]!)
  return Number.isSafeInteger(size) ? size : null
}
