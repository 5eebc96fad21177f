import { runtimeErrors } from '../errors/runtime-errors.ts'

/** Who a process runs as. */
export interface ResolvedUser {
  readonly uid: number
  readonly gid: number
  /** Group ids of the process, the primary one first. */
  readonly additionalGids: readonly number[]
  /** Its home directory, `/` when the image does not say. */
  readonly home: string
}

/** The files of the image, as bytes; null when it has none. */
export interface AccountFiles {
  readonly passwd: Uint8Array | null
  readonly group: Uint8Array | null
}

interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

interface Group {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

const largestId = 2 ** 31 - 1

/**
 * Finds out who `user[:group]` is, by Docker's rules: text of digits is always a number; a number needs no entry; the
 * first matching line wins; supplementary groups are those that list the account's name, and only when no group is given.
 *
 * `groups` are further ones, by name or number, wherever the user came from.
 *
 * @throws runtime.bad_user
 */
export function resolveUser(user: string, files: AccountFiles, groups: readonly string[] = []): ResolvedUser {
  const [userPart = '', groupPart = '', ...rest] = user.split(':')
  if (rest.length > 0) throw badUser(user, `"${user}" is no user: it must read user, user:group or :group.`)
  const account = findAccount(userPart, user, files.passwd)
  const uid = account?.uid ?? idOf(userPart, user) ?? 0
  const home = account?.home || '/'
  const further = groups.map((name) => findGroup(name, user, files.group))
  if (groupPart === '') {
    const gid = account?.gid ?? 0
    const others = account ? groupsOf(files.group).filter((g) => g.members.includes(account.name)) : []
    return { uid, gid, additionalGids: unique([gid, ...others.map((g) => g.gid), ...further]), home }
  }
  const gid = findGroup(groupPart, user, files.group)
  return { uid, gid, additionalGids: unique([gid, ...further]), home }
}

function findGroup(name: string, user: string, file: Uint8Array | null): number {
  const gid = idOf(name, user) ?? groupsOf(file).find((group) => group.name === name)?.gid
  if (gid === undefined) throw badUser(user, `There is no group "${name}" in /etc/group of the image (user "${user}").`)
  return gid
}

function findAccount(name: string, user: string, passwd: Uint8Array | null): Account | null {
  const number = name === '' ? 0 : idOf(name, user)
  const found = accountsOf(passwd).find((account) => (number === null ? account.name === name : account.uid === number))
  if (!found && number === null)
    throw badUser(user, `There is no user "${name}" in /etc/passwd of the image. Give a number, or a name that it has.`)
  return found ?? null
}

function idOf(text: string, user: string): number | null {
  if (!/^[+-]?\d+$/.test(text)) return null
  const id = Number(text)
  if (id < 0 || id > largestId)
    throw badUser(user, `${text} in the user "${user}" is no id: they go from 0 to ${largestId}.`)
  return id
}

const badUser = (user: string, message: string) =>
  runtimeErrors.error('bad_user', { message, subject: { type: 'user', id: user } })

// passwd(5): name:password:uid:gid:comment:home:shell
function accountsOf(file: Uint8Array | null): readonly Account[] {
  return linesOf(file).flatMap((fields) => {
    const uid = fileId(fields[2])
    return uid === null ? [] : [{ name: fields[0]!, uid, gid: fileId(fields[3]) ?? 0, home: fields[5] ?? '' }]
  })
}

// group(5): name:password:gid:member,member
function groupsOf(file: Uint8Array | null): readonly Group[] {
  return linesOf(file).flatMap((fields) => {
    const gid = fileId(fields[2])
    return gid === null ? [] : [{ name: fields[0]!, gid, members: (fields[3] ?? '').split(',').filter(Boolean) }]
  })
}

const fileId = (text: string | undefined): number | null => {
  const id = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  return id <= largestId ? id : null
}

const linesOf = (file: Uint8Array | null): readonly (readonly string[])[] =>
  file === null
    ? []
    : Buffer.from(file.buffer, file.byteOffset, file.byteLength)
        .toString('utf8')
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => line.split(':'))

const unique = (ids: readonly number[]): readonly number[] => [...new Set(ids)]
