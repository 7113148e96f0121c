/** What the service manager is told, and above all what it is not told: that an agent lives which accepts nobody. */

import { expect, test } from '@jest/globals'

import { ServiceNotices } from '../../lib/cli/service-notices.ts'
import { silentLogger } from '../../lib/log/index.ts'

const MANAGER = { notifySocket: '/run/systemd/notify', watchdogMs: 2 }

/** Keeps what was told, and wakes whoever waits for more. */
const listener = (problem?: string) => {
  const told: string[] = []
  let onMore = (): void => {}
  return {
    told,
    tell: async (_: string, assignments: readonly string[]) => {
      told.push(assignments.join(' '))
      onMore()
      return problem
    },
    until: (count: number) =>
      new Promise<void>((resolve) => {
        onMore = () => told.length >= count && resolve()
        onMore()
      }),
  }
}

test('everything is told in order', async () => {
  const { told, tell } = listener()
  const notices = new ServiceNotices(MANAGER, silentLogger(), tell)

  notices.ready('one\ntwo')
  notices.reloading()
  notices.ready('again')
  notices.stopping('bye')
  await notices.close()

  expect(told).toEqual([
    'READY=1 STATUS=one two',
    expect.stringMatching(/^RELOADING=1 MONOTONIC_USEC=\d+$/),
    'READY=1 STATUS=again',
    'STOPPING=1 STATUS=bye',
  ])
})

test('an agent that stops is not called ready again by a reload that ends too late', async () => {
  const { told, tell } = listener()
  const notices = new ServiceNotices(MANAGER, silentLogger(), tell)

  notices.stopping('bye')
  notices.reloading()
  notices.ready('again')
  await notices.close()

  expect(told).toEqual(['STOPPING=1 STATUS=bye'])
})

test('an agent that accepts nobody gives no sign of life, until it does again', async () => {
  const { told, tell, until } = listener()
  const notices = new ServiceNotices(MANAGER, silentLogger(), tell)
  let looks = 0

  notices.watch(async () => {
    looks += 1
    if (looks === 2) throw new Error('cannot look')
    return looks > 3
  })
  await until(1)
  await notices.close()

  expect(looks).toBeGreaterThanOrEqual(4)
  expect(told[0]).toBe('WATCHDOG=1')
  expect(told.length).toBeLessThanOrEqual(looks - 3)
})

test('without a service manager nothing is told', async () => {
  const { told, tell } = listener()
  const notices = new ServiceNotices({ notifySocket: undefined, watchdogMs: 1 }, silentLogger(), tell)

  notices.ready('here')
  notices.watch(async () => true)
  await notices.close()

  expect(told).toEqual([])
})
