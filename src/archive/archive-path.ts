import { archiveErrors } from '../errors/archive-errors.ts'

/**
 * The one spelling of a path in an archive: `./a//b` is `a/b`.
 *
 * @throws `archive.unsafe_path` for absolute paths, `..` and NUL bytes
 */
export function cleanPath(path: string): string {
  if (path.startsWith('/')) throw unsafe(path, 'it is absolute')
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw unsafe(path, 'it leaves the archive')
  if (path.includes('\0')) throw unsafe(path, 'it holds a NUL byte')
  return parts.join('/')
}

/**
 * The path that a symbolic link at `from` points to; old `docker save` wrote `../<id>/layer.tar` for layers that two
 * images share.
 *
 * @throws `archive.unsafe_path` when it leads out of the archive
 */
export function followLink(from: string, target: string): string {
  if (target.startsWith('/')) throw unsafe(`${from} -> ${target}`, 'it is absolute')
  const at = from.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') at.push(part)
    else if (at.pop() === undefined) throw unsafe(`${from} -> ${target}`, 'it leaves the archive')
  }
  return at.join('/')
}

const unsafe = (path: string, why: string) =>
  archiveErrors.error('unsafe_path', {
    message: `The archive holds the path "${path.slice(0, 200)}": ${why}. Do not trust its maker.`,
    subject: { type: 'path', id: path.slice(0, 200) },
  })
