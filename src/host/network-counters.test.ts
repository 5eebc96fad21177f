import { expect, test } from 'vitest'
import { parseNetworkCounters, readNetworkCounters } from './network-counters.ts'

test('interfaces but the loopback', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0:    1866      21    1    2    0     0          0         0     1042      13    3    4    0     0       0          0
`
  expect(parseNetworkCounters(text)).toEqual({
    eth0: {
      received: { bytes: 1866, packets: 21, errors: 1, dropped: 2 },
      sent: { bytes: 1042, packets: 13, errors: 3, dropped: 4 },
    },
  })
})

test("none of this process's own network, and of nobody", () => {
  expect(readNetworkCounters(process.pid)).toEqual({})
  expect(readNetworkCounters(2 ** 22 - 1)).toEqual({})
})
