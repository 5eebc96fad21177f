import { describe, expect, test } from 'vitest'
import { checkAddressPools, chooseSubnet, defaultAddressPools, type TakenRange } from './address-pools.ts'
import { ipv4Number, ipv4Text, macOf, overlap, parseIpv4Range, rangeText } from './ipv4-range.ts'
import type { AddressPool } from './network-facts.ts'

const taken = (...texts: string[]): TakenRange[] => texts.map((text) => ({ ...parseIpv4Range(text)!, by: 'a test' }))

describe('ranges', () => {
  test('numbers, texts, MACs', () => {
    expect(ipv4Text(ipv4Number('255.254.1.0'))).toBe('255.254.1.0')
    expect(rangeText(parseIpv4Range('172.17.9.9/16')!)).toBe('172.17.0.0/16')
    expect(parseIpv4Range('10.0.0.1')).toMatchObject({ prefix: 32 })
    expect(parseIpv4Range('0.0.0.0/0')).toMatchObject({ first: 0, last: 2 ** 32 - 1 })
    expect(macOf(ipv4Number('172.17.0.2'))).toBe('02:42:ac:11:00:02')
    for (const wrong of ['', 'fd00::/64', '10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/-1'])
      expect(parseIpv4Range(wrong)).toBeNull()
  })

  test('overlap is seen from both sides', () => {
    const [large, small, other] = ['10.0.0.0/8', '10.200.0.0/16', '11.0.0.0/8'].map((text) => parseIpv4Range(text)!)
    expect([overlap(large!, small!), overlap(small!, large!), overlap(small!, other!)]).toEqual([true, true, false])
  })
})

describe('choosing subnets', () => {
  test('Docker’s order, past whatever is taken', () => {
    expect(chooseSubnet(defaultAddressPools, [])).toEqual({ subnet: '172.17.0.0/16', gateway: '172.17.0.1' })
    expect(chooseSubnet(defaultAddressPools, taken('172.17.5.0/24')).subnet).toBe('172.18.0.0/16')
    expect(chooseSubnet(defaultAddressPools, taken('172.16.0.0/12')).subnet).toBe('192.168.0.0/20')
    expect(chooseSubnet(defaultAddressPools, taken('172.16.0.0/12', '192.168.17.3')).subnet).toBe('192.168.0.0/20')
    expect(chooseSubnet(defaultAddressPools, taken('172.16.0.0/12', '192.168.0.0/24')).subnet).toBe('192.168.16.0/20')
    expect(chooseSubnet(defaultAddressPools, taken('172.17.0.0/16', '172.18.0.0/15', '172.20.0.1')).subnet).toBe(
      '172.21.0.0/16',
    )
  })

  test('an exhausted pool names what is in the way, and quickly', () => {
    const pools = [{ base: '10.0.0.0/8', size: 29 }]
    const from = performance.now()
    expect(() => chooseSubnet(pools, taken('10.0.0.0/8'))).toThrow(
      expect.objectContaining({ code: 'network.subnets_exhausted', message: expect.stringContaining('a test') }),
    )
    expect(performance.now() - from).toBeLessThan(200)
  })

  test.each([
    [{ base: '10.0.0.0', size: 24 }],
    [{ base: '10.0.0.1/8', size: 24 }],
    [{ base: '10.0.0.0/8', size: 7 }],
    [{ base: '10.0.0.0/8', size: 30 }],
    [{ base: '10.0.0.0/8', size: 24.5 }],
    [{ base: 'fd00::/64', size: 80 }],
    [{}],
    [null],
  ])('%j is refused by its place', (pool) => {
    expect(() => checkAddressPools([defaultAddressPools[0]!, pool as AddressPool])).toThrow(
      expect.objectContaining({ code: 'network.bad_pool', message: expect.stringContaining('addressPools[1]') }),
    )
  })
})
