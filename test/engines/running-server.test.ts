import { describe, expect, test } from '@jest/globals'

import { parseLocks } from '../../lib/engines/running-server.ts'

const LOCKS = `1: POSIX  ADVISORY  WRITE 7103 fe:00:2164301 0 EOF
2: POSIX  ADVISORY  READ 7104 fe:00:11 128 128
3: -> POSIX  ADVISORY  WRITE 7105 fe:00:12 0 EOF
4: FLOCK  ADVISORY  WRITE 7106 fe:00:13 0 EOF
5: OFDLCK ADVISORY  WRITE -1 00:2f:14 0 EOF
6: LEASE  ACTIVE    WRITE 7107 fe:00:15 0 EOF
`

describe('the list of locks', () => {
  test('is read for write locks that are held, and nothing else', () => {
    expect([...parseLocks(LOCKS).values()]).toEqual([
      { pid: 7103, device: 'fe:00', inode: 2164301n },
      { pid: -1, device: '00:2f', inode: 14n },
    ])
  })
})
