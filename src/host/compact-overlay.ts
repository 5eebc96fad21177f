/** Overlay options with paths relative to a directory, when that is needed to fit them into mount(2). */
export interface CompactOverlay {
  /** Where to chdir before the mount; null when the options are fine as they are. */
  readonly cwd: string | null
  readonly options: readonly string[]
}

const pathKeys = ['lowerdir', 'upperdir', 'workdir'] as const

/** Splits at a character unless a backslash stands before it. */
const splitUnescaped = (text: string, separator: string): string[] => {
  const parts: string[] = []
  let start = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === separator) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

/**
 * mount(2) takes one page of options, and the lower directories of a deep stack do not fit into it as absolute paths.
 * Rewrites them relative to their longest common parent directory; a caller whose thread has a working directory of its
 * own (`unshare(CLONE_FS)`) mounts from there. Options below `limit` bytes come back unchanged.
 */
export function compactOverlay(options: readonly string[], limit = 4095): CompactOverlay {
  if (Buffer.byteLength(options.join(',')) < limit) return { cwd: null, options }
  const parsed = options.map((option) => {
    const key = pathKeys.find((k) => option.startsWith(`${k}=`))
    if (!key) return { key: null, paths: [option] }
    const value = option.slice(key.length + 1)
    return { key, paths: key === 'lowerdir' ? splitUnescaped(value, ':') : [value] }
  })
  const all = parsed.flatMap(({ key, paths }) => (key ? paths : []))
  if (all.length === 0 || !all.every((path) => path.startsWith('/'))) return { cwd: null, options }
  const common = all.map((path) => path.split('/').slice(0, -1)).reduce(commonStart)
  if (common.length < 2) return { cwd: null, options }
  const prefix = `${common.join('/')}/`
  return {
    cwd: prefix.slice(0, -1).replaceAll(/\\(.)/g, '$1'),
    options: parsed.map(({ key, paths }) =>
      key ? `${key}=${paths.map((path) => path.slice(prefix.length)).join(':')}` : paths[0]!,
    ),
  }
}

function commonStart(a: readonly string[], b: readonly string[]): string[] {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
