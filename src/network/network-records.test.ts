import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openState, type State } from '../state/open-state.ts'
import { type NetworkRecord, NetworkRecords } from './network-records.ts'

let root = ''
let state: State
let records: NetworkRecords

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tsc-records-'))
  state = openState(root)
  records = new NetworkRecords(state.db, 'tscontainer:test', state.paths.networksFile)
  records.makeDefaults()
})
afterEach(() => {
  state[Symbol.dispose]()
  rmSync(root, { recursive: true, force: true })
})

const withSubnet = (subnet: string, gateway: string): NetworkRecord =>
  records.setSubnets(records.get('bridge'), [{ subnet, gateway }])
const claimed = (container: string, network: NetworkRecord) => records.claim(container, [network])[0]!.addresses[0]

describe('networks', () => {
  test('every root has three, made once, found by name, id and the start of an id', () => {
    const ids = records.all().map(({ id, name }) => [name, id])
    records.makeDefaults()
    expect(records.all().map(({ id, name }) => [name, id])).toEqual(ids)
    const bridge = records.get('bridge')
    expect(records.get(bridge.id)).toEqual(bridge)
    expect(records.get(bridge.id.slice(0, 12))).toEqual(bridge)
    expect(() => records.get('nope')).toThrow(
      expect.objectContaining({ code: 'network.not_found', message: expect.stringContaining('bridge, host, none') }),
    )
  })
})

describe('addresses', () => {
  test('begin behind the gateway and are not given again at once', () => {
    const network = withSubnet('172.17.0.0/16', '172.17.0.1')
    const [first] = records.claim('a', [network])
    expect(first).toMatchObject({ addresses: ['172.17.0.2/16'], mac: '02:42:ac:11:00:02', interfaceName: 'eth0' })
    expect(claimed('b', network)).toBe('172.17.0.3/16')
    records.release('a')
    expect(claimed('c', network)).toBe('172.17.0.4/16')
  })

  test('go round, skip what is taken, and end with a typed error', () => {
    const network = withSubnet('10.0.0.0/29', '10.0.0.1')
    expect(['a', 'b', 'c', 'd', 'e'].map((name) => claimed(name, network))).toEqual(
      [2, 3, 4, 5, 6].map((last) => `10.0.0.${last}/29`),
    )
    expect(() => claimed('f', network)).toThrow(expect.objectContaining({ code: 'network.addresses_exhausted' }))
    expect(records.endpointsOf('f')).toEqual([])
    records.release('c')
    expect(claimed('f', network)).toBe('10.0.0.4/29')
  })

  test('a gateway in the middle is never given', () => {
    const network = withSubnet('10.0.0.0/29', '10.0.0.3')
    expect(['a', 'b', 'c', 'd', 'e'].map((name) => claimed(name, network))).not.toContain('10.0.0.3/29')
  })

  test('a full large network is told quickly', () => {
    const network = withSubnet('10.0.0.0/20', '10.0.0.1')
    state.db.transaction(() => {
      for (let i = 0; i < 4093; i++) records.claim(`c${i}`, [network])
    })
    const from = performance.now()
    expect(() => claimed('more', network)).toThrow('4093 addresses')
    expect(performance.now() - from).toBeLessThan(500)
  })

  test('claiming again gives up the earlier claim; releasing twice is no error', () => {
    const network = withSubnet('10.0.0.0/24', '10.0.0.1')
    claimed('a', network)
    claimed('a', network)
    expect(records.endpointsOf('a')).toHaveLength(1)
    records.release('a')
    records.release('a')
    expect(records.isUsed(network.id)).toBe(false)
    expect(state.db.all('SELECT * FROM addresses')).toEqual([])
  })

  test('two processes never get the same', () => {
    const network = withSubnet('10.0.0.0/24', '10.0.0.1')
    using other = openState(root)
    const theirs = new NetworkRecords(other.db, 'tscontainer:test', other.paths.networksFile)
    const all = Array.from(
      { length: 20 },
      (_, i) => (i % 2 ? theirs : records).claim(`c${i}`, [network])[0]!.addresses[0],
    )
    expect(new Set(all).size).toBe(20)
  })

  test('claims of containers without a record are orphans', () => {
    const network = withSubnet('10.0.0.0/24', '10.0.0.1')
    state.db.run(
      "INSERT INTO containers (id, name, lifetime, image, spec, status, created_at) VALUES ('a', 'a', 'process', '', '{}', 'running', 0)",
    )
    claimed('a', network)
    claimed('b', network)
    expect(records.releaseOrphans()).toMatchObject([{ addresses: ['10.0.0.3/24'] }])
    expect(records.endpointsOf('a')).toHaveLength(1)
  })

  test('several networks are claimed together or not at all', () => {
    const network = withSubnet('10.0.0.0/29', '10.0.0.1')
    const broken = { ...network, subnets: [{ subnet: 'fd00::/64', gateway: 'fd00::1' }] }
    expect(() => records.claim('a', [network, broken])).toThrow(expect.objectContaining({ code: 'network.bad_subnet' }))
    expect(records.endpointsOf('a')).toEqual([])
  })
})
