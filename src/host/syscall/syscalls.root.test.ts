import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isEngineError } from '../../errors/engine-error.ts'
import { errnoOf } from '../../errors/host-errors.ts'
import { createXattrs } from '../xattrs.ts'
import {
  fileTypes,
  lchown,
  link,
  linkDescriptor,
  makedev,
  mkfifo,
  mknod,
  O_TMPFILE,
  openat2,
  openInRoot,
  punchHole,
  RESOLVE,
  seekData,
  seekHole,
  syncfs,
  utimens,
} from './file.ts'
import { mount, umount2 } from './mount.ts'
import { gettid, setns } from './namespace.ts'
import { AF, bindSocket, NETLINK, receive, SOCK, sendTo, socket } from './socket.ts'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'syscall-'))
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

const caught = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    if (isEngineError(error)) return error
    throw error
  }
  throw new Error('did not throw')
}

const bytes = (...parts: (string | number)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))))

describe('files', () => {
  test('names that are no UTF-8: FIFO, device, owner, times, link, attribute', () => {
    const name = bytes(`${scratch}/a`, 0xff, 0x20)
    mkfifo(name, 0o600)
    expect(lstatSync(name).isFIFO()).toBe(true)
    const device = bytes(`${scratch}/d`, 0xfe)
    mknod(device, fileTypes.character, 0o600, makedev(0x123, 0x12345))
    expect(lstatSync(device).isCharacterDevice()).toBe(true)
    const [major, minor] = execFileSync('sh', ['-c', `stat -c '%t %T' ${scratch}/d*`])
      .toString()
      .trim()
      .split(' ')
    expect([major, minor]).toEqual(['123', '12345'])
    lchown(name, 70000, 80000)
    utimens(name, { seconds: -5, nanoseconds: 7 }, { seconds: 1_700_000_000, nanoseconds: 123_456_789 })
    const stat = lstatSync(name, { bigint: true })
    expect([stat.uid, stat.gid, stat.mtimeNs]).toEqual([70000n, 80000n, 1_700_000_000_123_456_789n])
    utimens(name, null, { seconds: 1n, nanoseconds: 0 })
    expect(lstatSync(name, { bigint: true }).atimeNs).toBe(stat.atimeNs)
    link(name, bytes(`${scratch}/l`, 0xff))
    expect(lstatSync(name).nlink).toBe(2)
    expect(caught(() => link(name, device)).kind).toBe('already_exists')
    expect(caught(() => mkfifo(`${scratch}/none/x`, 0o600)).details).toMatchObject({
      errno: 'ENOENT',
      path: `${scratch}/none/x`,
    })
    expect(caught(() => mkfifo('a\0b', 0o600)).code).toBe('host.bad_path')
  })

  test('symlinks are not followed', () => {
    const path = join(scratch, 'link')
    symlinkSync('/etc/hostname-that-is-not-there', path)
    lchown(path, 5, 6)
    utimens(path, null, { seconds: 3, nanoseconds: 4 })
    link(path, join(scratch, 'second'))
    expect(lstatSync(join(scratch, 'second'), { bigint: true })).toMatchObject({
      uid: 5n,
      gid: 6n,
      mtimeNs: 3_000_000_004n,
    })
  })

  test('openat2 stays inside the root, whatever links say', () => {
    mkdirSync(join(scratch, 'root/etc'), { recursive: true })
    writeFileSync(join(scratch, 'root/etc/file'), 'inside')
    symlinkSync('/etc', join(scratch, 'root/absolute'))
    symlinkSync('../../../../etc', join(scratch, 'root/up'))
    const root = openSync(join(scratch, 'root'), constants.O_DIRECTORY)
    for (const path of ['absolute/file', 'up/file', '/etc/file', '../etc/file']) {
      const fd = openInRoot(root, path, constants.O_RDONLY)
      const buffer = Buffer.alloc(20)
      expect(buffer.subarray(0, readSync(fd, buffer)).toString()).toBe('inside')
      closeSync(fd)
    }
    expect(caught(() => openInRoot(root, 'absolute/passwd', constants.O_RDONLY)).kind).toBe('not_found')
    expect(errnoOf(caught(() => openat2(root, 'up/file', constants.O_RDONLY, RESOLVE.BENEATH)))).toBe('EXDEV')
    expect(errnoOf(caught(() => openat2(root, 'up/file', constants.O_RDONLY, RESOLVE.NO_SYMLINKS)))).toBe('ELOOP')
    const made = openInRoot(root, 'up/new', constants.O_CREAT | constants.O_WRONLY, 0o600)
    closeSync(made)
    expect(existsSync(join(scratch, 'root/etc/new'))).toBe(true)
    closeSync(root)
  })

  test('holes', () => {
    const fd = openSync(join(scratch, 'sparse'), 'w+')
    ftruncateSync(fd, 3 << 20)
    expect(seekData(fd, 0)).toBe(null)
    writeSync(fd, Buffer.alloc(1 << 20, 1), 0, 1 << 20, 1 << 20)
    expect([seekData(fd, 0), seekHole(fd, 1 << 20), seekHole(fd, 4 << 20)]).toEqual([1 << 20, 2 << 20, null])
    punchHole(fd, 1 << 20, 1 << 19)
    expect(seekData(fd, 0)).toBe((1 << 20) + (1 << 19))
    syncfs(fd)
    closeSync(fd)
    expect(errnoOf(caught(() => seekHole(9999, 0)))).toBe('EBADF')
  })

  test('a nameless file gets its name once', () => {
    const fd = openSync(scratch, O_TMPFILE | constants.O_RDWR, 0o600)
    writeSync(fd, 'text')
    linkDescriptor(fd, join(scratch, 'named'))
    expect(readFileSync(join(scratch, 'named'), 'utf8')).toBe('text')
    expect(caught(() => linkDescriptor(fd, join(scratch, 'named'))).kind).toBe('already_exists')
    closeSync(fd)
  })
})

describe('extended attributes', () => {
  const xattrs = createXattrs()

  test('values of any bytes and size, on files and links', () => {
    const path = bytes(`${scratch}/x`, 0xff)
    writeFileSync(path, '')
    expect(xattrs.list(path)).toEqual([])
    const value = Buffer.alloc(3000, 0).fill(0xfe, 10)
    xattrs.set(path, 'user.big', value)
    xattrs.set(path, 'user.empty', new Uint8Array())
    expect(xattrs.list(path)).toEqual(expect.arrayContaining(['user.big', 'user.empty']))
    expect(Buffer.from(xattrs.get(path, 'user.big')!)).toEqual(value)
    expect(xattrs.get(path, 'user.empty')).toEqual(new Uint8Array())
    expect(xattrs.get(path, 'user.none')).toBe(null)
    xattrs.remove(path, 'user.big')
    xattrs.remove(path, 'user.big')
    expect(xattrs.list(path)).toEqual(['user.empty'])
    symlinkSync('nowhere', join(scratch, 'link'))
    xattrs.set(join(scratch, 'link'), 'trusted.x', value)
    expect(xattrs.list(join(scratch, 'link'))).toEqual(['trusted.x'])
    expect(caught(() => xattrs.list(join(scratch, 'none'))).kind).toBe('not_found')
    expect(xattrs.list('/proc/self/stat')).toEqual([])
    expect(caught(() => xattrs.set('/proc/self/stat', 'user.x', value)).kind).toMatch(/unsupported|permission_denied/)
  })

  test('file capabilities come back as they were set', () => {
    const path = join(scratch, 'program')
    writeFileSync(path, '', { mode: 0o755 })
    execFileSync('setcap', ['cap_net_raw+ep', path])
    const value = xattrs.get(path, 'security.capability')!
    xattrs.remove(path, 'security.capability')
    xattrs.set(path, 'security.capability', value)
    expect(execFileSync('getcap', [path]).toString()).toContain('cap_net_raw=ep')
  })
})

describe('mounts, namespaces, sockets', () => {
  test('errors carry errno, call and path', () => {
    const error = caught(() => umount2(scratch, 0))
    expect(error).toMatchObject({
      code: 'host.invalid',
      details: { errno: 'EINVAL', syscall: 'umount2', path: scratch },
    })
    expect(caught(() => mount('x', scratch, 'no-such-file-system', 0, null)).kind).toBe('unsupported')
    expect(errnoOf(caught(() => setns(-1, 0)))).toBe('EBADF')
  })

  test('mount data reaches the file system', () => {
    mount('tmpfs', scratch, 'tmpfs', 0, 'mode=711')
    try {
      expect(statSync(scratch).mode & 0o777).toBe(0o711)
    } finally {
      umount2(scratch, 0)
    }
  })

  test('the main thread is the process', () => {
    expect([
      process.pid,
      ...execFileSync('ls', [`/proc/${process.pid}/task`])
        .toString()
        .split('\n')
        .map(Number),
    ]).toContain(gettid())
  })

  test('a netlink socket answers', () => {
    const fd = socket(AF.NETLINK, SOCK.RAW, NETLINK.ROUTE)
    const address = Buffer.alloc(12)
    address.writeUInt16LE(AF.NETLINK, 0)
    bindSocket(fd, address)
    const buffer = Buffer.alloc(8192)
    expect(receive(fd, buffer, 0x40)).toBe(null)
    // RTM_GETLINK of everything: header and an empty ifinfomsg.
    const request = Buffer.alloc(32)
    request.writeUInt32LE(32, 0)
    request.writeUInt16LE(18, 4)
    request.writeUInt16LE(0x301, 6)
    expect(sendTo(fd, request, address)).toBe(32)
    expect(receive(fd, buffer)).toBeGreaterThan(32)
    expect(buffer.readUInt16LE(4)).toBe(16)
    closeSync(fd)
  })
})
