import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'

import { findTcpState, tcpState } from '../../lib/agent/tcp-table.ts'
import { watchReachability } from '../../lib/agent/unreachable.ts'
import type { BackupError } from '../../lib/errors/index.ts'

/** Shape: proc(5). The ports are 25300 (62D4) and 40000 (9C40). */
const table = (
  state: string,
): string => `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17001 1 0000000000000000 100 0 0 10 0
   1: 0100007F:62D4 0100007F:9C40 01 ${state} 40113 2 0000000000000000 20 4 30 10 -1
   2: 0100007F:9C40 0100007F:62D4 01 00000000:00000000 00:00000000 00000000     0        0 40114 1 0000000000000000 20 4 30 10 -1
`

const ends = (remotePort: number, remoteAddress = '127.0.0.1') => ({
  localAddress: '127.0.0.1',
  localPort: 25_300,
  remoteAddress,
  remotePort,
})

describe('of a connection', () => {
  test.each<[string, string, { unacknowledgedBytes: number; unanswered: number }]>([
    ['at rest', '00000000:00000000 00:00000000 00000000     0        0', { unacknowledgedBytes: 0, unanswered: 0 }],
    [
      'on its way',
      '00028000:00000000 01:00000014 00000000     0        0',
      { unacknowledgedBytes: 163_840, unanswered: 0 },
    ],
    [
      'sent again in vain',
      '00000FFF:00000000 01:00000300 0000000C     0        0',
      { unacknowledgedBytes: 4095, unanswered: 12 },
    ],
    [
      'a closed window that is probed',
      '00000001:00000000 04:00000300 00000000     0       11',
      { unacknowledgedBytes: 1, unanswered: 11 },
    ],
    [
      'a keep-alive timer',
      '00000000:00000000 02:00000300 00000003     0        2',
      { unacknowledgedBytes: 0, unanswered: 0 },
    ],
  ])('%s', (_, state, expected) => {
    expect(findTcpState(table(state), ends(40_000))).toEqual(expected)
  })

  test('that is not in the table nothing is known', () => {
    expect(findTcpState(table('00000000:00000000 00:00000000 00000000     0        0'), ends(40_001))).toBeUndefined()
  })

  test('with the same ports, but from another machine, nothing is known either', () => {
    const found = table('00028000:00000000 01:00000014 00000000     0        0')

    expect(findTcpState(found, ends(40_000, '127.0.0.2'))).toBeUndefined()
    expect(findTcpState(found, ends(40_000, '::ffff:127.0.0.1'))).toBeDefined()
  })

  test('of version 6 the addresses are found as the kernel writes them', () => {
    const line =
      '   0: 00000000000000000000000001000000:62D4 000080FE00000000FF005450B6AD1DFE:9C40 01 00000007:00000000 00:00000000 00000000     0        0 1\n'

    expect(
      findTcpState(line, {
        localAddress: '::1',
        localPort: 25_300,
        remoteAddress: 'fe80::5054:ff:fe1d:adb6%eth0',
        remotePort: 40_000,
      }),
    ).toEqual({ unacknowledgedBytes: 7, unanswered: 0 })
  })

  test('the kernel of this machine tells what its reader has not taken', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect(port, '127.0.0.1') // reads nothing
    const [ours] = (await once(server, 'connection')) as [Socket]
    client.pause()
    ours.write(Buffer.alloc(32 * 1024 * 1024))

    let state = await tcpState(ours)
    while (!state?.unacknowledgedBytes) state = await tcpState(ours)

    expect(state.unanswered).toBeLessThan(2) // it reads nothing, and answers
    ours.destroy()
    client.destroy()
    server.close()
  })
})

describe('a client whose machine answers nothing', () => {
  const socket = { localPort: 1, remotePort: 2, writableLength: 1 } as unknown as Socket
  const wire = { socket, raw: socket }

  test('is given up after the limit', async () => {
    const failure = await new Promise<BackupError>((resolve) => {
      void watchReachability(wire, 1, new AbortController().signal, resolve, async () => ({
        unacknowledgedBytes: 1,
        unanswered: 9,
      }))
    })

    expect(failure.code).toBe('JOB_CLIENT_UNREACHABLE')
  })

  test('is not given up when it answers now and then', async () => {
    const controller = new AbortController()
    let looks = 0
    let failures = 0
    await watchReachability(
      wire,
      0,
      controller.signal,
      () => (failures += 1),
      async () => {
        looks += 1
        if (looks === 3) controller.abort()
        return { unacknowledgedBytes: 1, unanswered: 1 }
      },
    )

    expect(failures).toBe(0)
  })
})
