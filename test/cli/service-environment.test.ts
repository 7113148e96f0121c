/** What systemd says in the environment: obeyed when it is meant for us, and taken out in every case. */

import { expect, test } from '@jest/globals'

import { takeServiceEnvironment } from '../../lib/cli/service-environment.ts'

const PID = 4711

test.each([
  ['one socket', { LISTEN_PID: '4711', LISTEN_FDS: '1' }, [3]],
  ['several, with names', { LISTEN_PID: '4711', LISTEN_FDS: '3', LISTEN_FDNAMES: 'a:b:c' }, [3, 4, 5]],
  ['none', {}, []],
  ['those of another process', { LISTEN_PID: '4710', LISTEN_FDS: '2' }, []],
  ['sockets that nobody owns', { LISTEN_FDS: '2' }, []],
])('knows %s', (_, given, descriptors) => {
  const environment = { PATH: '/bin', ...given }

  expect(takeServiceEnvironment(environment, PID).descriptors).toEqual(descriptors)
  expect(environment).toEqual({ PATH: '/bin' })
})

test.each(['', '0', '-1', '1x', '65', '99999999999'])('refuses "%s" sockets', (count) => {
  const environment = { LISTEN_PID: `${PID}`, LISTEN_FDS: count }

  expect(() => takeServiceEnvironment(environment, PID)).toThrow(expect.objectContaining({ code: 'AGENT_DESCRIPTOR' }))
  expect(environment).toEqual({})
})

test.each([
  ['for us', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '4711' }, 30_000],
  ['for whoever is started', { WATCHDOG_USEC: '30000000' }, 30_000],
  ['for another process', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }, undefined],
  ['switched off', { WATCHDOG_USEC: '0' }, undefined],
  ['that is no number', { WATCHDOG_USEC: 'often' }, undefined],
])('knows a watchdog %s', (_, given, watchdogMs) => {
  const environment = { NOTIFY_SOCKET: '@abstract', ...given }

  expect(takeServiceEnvironment(environment, PID)).toEqual({ descriptors: [], notifySocket: '@abstract', watchdogMs })
  expect(environment).toEqual({})
})
