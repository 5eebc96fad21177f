import { describe, expect, test } from 'vitest'
import { type AccountFiles, resolveUser } from './resolve-user.ts'

const passwd = `root:x:0:0:root:/root:/bin/sh
# comment:x:9:9::/:
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
app:x:1000:1001:App:/home/app:/bin/sh
app:x:2000:2001:second:/nowhere:/bin/sh
1000:x:4000:4000:named like a number:/four:/bin/sh
nohome:x:1500:1500::
broken
:x:17:17:::
müller:x:1600:1600::/home/müller:
toobig:x:4294967296:1::/:
`
const group = `root:x:0:
app:x:1001:
audio:x:29:app,daemon
video:x:44:app
empty::45:
1001:x:4001:
bad:x:abc:app
`
const files: AccountFiles = { passwd: Buffer.from(passwd), group: Buffer.from(group) }
const none: AccountFiles = { passwd: null, group: null }

describe('users', () => {
  test.each([
    ['', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['root', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['app', { uid: 1000, gid: 1001, additionalGids: [1001, 29, 44], home: '/home/app' }],
    ['1000', { uid: 1000, gid: 1001, additionalGids: [1001, 29, 44], home: '/home/app' }],
    ['app:video', { uid: 1000, gid: 44, additionalGids: [44], home: '/home/app' }],
    ['app:77', { uid: 1000, gid: 77, additionalGids: [77], home: '/home/app' }],
    ['app:1001', { uid: 1000, gid: 1001, additionalGids: [1001], home: '/home/app' }],
    ['5555', { uid: 5555, gid: 0, additionalGids: [0], home: '/' }],
    ['5555:66', { uid: 5555, gid: 66, additionalGids: [66], home: '/' }],
    [':audio', { uid: 0, gid: 29, additionalGids: [29], home: '/root' }],
    ['nohome', { uid: 1500, gid: 1500, additionalGids: [1500], home: '/' }],
    ['müller', { uid: 1600, gid: 1600, additionalGids: [1600], home: '/home/müller' }],
    ['2147483647', { uid: 2147483647, gid: 0, additionalGids: [0], home: '/' }],
  ])('%s', (user, expected) => {
    expect(resolveUser(user, files)).toEqual(expected)
  })

  test('an image without the files takes numbers only', () => {
    expect(resolveUser('', none)).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: '/' })
    expect(resolveUser('7:8', none)).toEqual({ uid: 7, gid: 8, additionalGids: [8], home: '/' })
    expect(() => resolveUser('root', none)).toThrow(expect.objectContaining({ code: 'runtime.bad_user' }))
    expect(() => resolveUser('0:root', none)).toThrow(expect.objectContaining({ code: 'runtime.bad_user' }))
  })

  test.each(['nobody', 'app:nogroup', '-1', '2147483648', '0:-1', '0:9999999999', 'a:b:c', 'toobig', 'APP', '../etc'])(
    '%s is refused',
    (user) => {
      expect(() => resolveUser(user, files)).toThrow(
        expect.objectContaining({ code: 'runtime.bad_user', subject: { type: 'user', id: user } }),
      )
    },
  )

  test('a hostile file is only text', () => {
    const hostile = Buffer.concat([
      Buffer.from('root:x:0:0'),
      Buffer.alloc(1 << 20, 0x3a),
      Buffer.from('\n\0\n\xff:x:3:3\n', 'latin1'),
    ])
    expect(resolveUser('root', { passwd: hostile, group: hostile })).toMatchObject({ uid: 0, gid: 0 })
  })
})
