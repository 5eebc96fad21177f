import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { NETLINK } from '../syscall/socket.ts'
import { formatIp, parseIp, parseMac, parsePrefix } from './ip-address.ts'
import { checkLinkName, dumpLinks, getLink } from './link-messages.ts'
import { readLinks } from './link-reading.ts'
import { Attributes, readMessages } from './message-reader.ts'
import { MessageWriter, NLM_F } from './message-writer.ts'
import { NetlinkSocket } from './netlink-socket.ts'

describe('addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['fe80::1', 'fe80::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['1::', '1::'],
  ])('%s', (text, canonical) => {
    expect(formatIp(parseIp(text).bytes)).toBe(canonical)
  })

  test.each(['', '10.0.0', '10.0.0.256', 'fe80::1%eth0', '::1::', 'name'])('%j is refused by name', (text) => {
    expect(() => parseIp(text)).toThrow(JSON.stringify(text))
  })

  test.each(['10.0.0.1', '10.0.0.1/', '10.0.0.1/33', '10.0.0.1/-1', '::1/129', '10.0.0.1/8/8'])(
    '%j is no prefix',
    (text) => {
      expect(() => parsePrefix(text)).toThrow(/not an? /)
    },
  )

  test('MAC addresses', () => {
    expect([...parseMac('02:42:AC:11:00:02')]).toEqual([2, 0x42, 0xac, 0x11, 0, 2])
    for (const wrong of ['', '02:42', '02-42-ac-11-00-02', '02:42:ac:11:00:0g'])
      expect(() => parseMac(wrong)).toThrow('MAC')
  })

  test.each(['', 'a'.repeat(16), 'a b', 'a/b', 'a:b', '.', '..', 'ä'.repeat(8)])('%j names no link', (name) => {
    expect(() => checkLinkName(name)).toThrow('1 to 15 bytes')
  })
})

describe('messages', () => {
  test('what is written can be read, across growing buffers', () => {
    const long = 'x'.repeat(1500)
    const writer = new MessageWriter(7)
    for (let i = 0; i < 5; i++)
      writer
        .begin(16 + i, NLM_F.ACK, 'test')
        .u32(i)
        .attributeText(1, long)
        .nest(2, (inner) =>
          inner
            .attributeU8(1, i)
            .attributeBe64(2, 1n << 40n)
            .attributeBe32(3, -1),
        )
        .attributeU32(3, 0xffffffff)
    const messages = [...readMessages(Buffer.from(writer.finish()))]
    expect(messages.map((message) => [message.type, message.sequence])).toEqual(
      [0, 1, 2, 3, 4].map((i) => [16 + i, 7 + i]),
    )
    for (const [i, { body }] of messages.entries()) {
      const attributes = new Attributes(body, 4)
      expect(attributes.text(1)).toBe(long)
      expect(attributes.nested(2)?.bytes(1)?.[0]).toBe(i)
      expect(attributes.nested(2)?.be64(2)).toBe(1n << 40n)
      expect(attributes.nested(2)?.be32(3)).toBe(-1)
      expect(attributes.u32(3)).toBe(0xffffffff)
    }
  })

  test('broken lengths end the reading', () => {
    const writer = new MessageWriter().begin(16, 0, 'test').attributeText(1, 'name')
    const bytes = Buffer.from(writer.finish())
    bytes.writeUInt32LE(1 << 30, 0)
    expect([...readMessages(bytes)]).toEqual([])
    bytes.writeUInt32LE(3, 0)
    expect([...readMessages(bytes)]).toEqual([])
    expect(new Attributes(Buffer.from([255, 255, 1, 0, 0])).bytes(1)).toBeNull()
    expect(new Attributes(Buffer.from([0, 0, 0, 0])).elements).toEqual([])
  })
})

describe('sockets', () => {
  test('lists links, also through a buffer that is far too small', () => {
    for (const size of [32 << 10, 64]) {
      using socket = new NetlinkSocket(NETLINK.ROUTE, size)
      const names = readLinks(socket.query(() => dumpLinks(new MessageWriter()))).map((link) => link.name)
      expect(names).toEqual(expect.arrayContaining(Object.keys(networkInterfaces())))
      expect(names).toContain('lo')
    }
  })

  test('a failure says what was tried, the errno and the words of the kernel', () => {
    using socket = new NetlinkSocket(NETLINK.ROUTE)
    expect(() => socket.exchange(getLink(new MessageWriter(), 'no-such-link'))).toThrow(
      /Looking for the link no-such-link failed with ENODEV/,
    )
    // RTM_GETLINK with an attribute that is too short for its type.
    const wrong = new MessageWriter()
      .begin(18, NLM_F.ACK, 'Asking nonsense')
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .attributeU8(4, 1)
    expect(() => socket.exchange(wrong)).toThrow(/Asking nonsense \(the kernel says: .+\) failed with E/)
    // The socket is as good as before.
    expect(readLinks(socket.exchange(getLink(new MessageWriter(), 'lo')))[0]?.index).toBe(1)
  })

  test('disposal closes once', () => {
    const socket = new NetlinkSocket(NETLINK.ROUTE)
    socket[Symbol.dispose]()
    const other = new NetlinkSocket(NETLINK.ROUTE)
    socket[Symbol.dispose]()
    expect(readLinks(other.exchange(getLink(new MessageWriter(), 'lo')))).toHaveLength(1)
    other[Symbol.dispose]()
  })
})
