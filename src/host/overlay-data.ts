/**
 * The kernel takes at most a page of mount data. A deep stack of layers with long paths does not fit: then every
 * directory is opened, and the mount is made with the descriptors' numbers as paths relative to /proc/thread-self/fd.
 * That works on every kernel, for paths of any length and with any bytes, up to overlayfs' own limit of 500 layers.
 */

/** Longest mount data, without its NUL. Source: mount(2), "data". 4,096 is the smallest page. */
export const longestMountData = 4095

const directoryOptions = new Set(['lowerdir', 'upperdir', 'workdir', 'lowerdir+', 'datadir+'])

/** Splits at separators that no backslash escapes; escapes stay. */
function splitEscaped(text: string, separator: string): string[] {
  const parts: string[] = []
  let part = ''
  for (let index = 0; index < text.length; index++) {
    const character = text[index]!
    if (character === '\\' && index + 1 < text.length) part += character + text[++index]!
    else if (character === separator) {
      parts.push(part)
      part = ''
    } else part += character
  }
  parts.push(part)
  return parts
}

/**
 * Rewrites the data of an overlay mount with `number(path)` (or another name) in place of every directory; `path` is given without its
 * escapes. Empty entries (`lowerdir=a::b`, data-only layers) stay.
 */
export function shortenOverlayData(data: string, number: (path: string) => number | string): string {
  return splitEscaped(data, ',')
    .map((option) => {
      const equals = option.indexOf('=')
      const name = option.slice(0, equals)
      if (equals < 0 || !directoryOptions.has(name)) return option
      const paths = name === 'lowerdir' ? splitEscaped(option.slice(equals + 1), ':') : [option.slice(equals + 1)]
      return `${name}=${paths.map((path) => (path === '' ? '' : number(path.replace(/\\(.)/gs, '$1')))).join(':')}`
    })
    .join(',')
}
