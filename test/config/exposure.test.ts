import { afterAll, describe, expect, test } from '@jest/globals'

import { isExposed, isLoopback, refuseExposure, settingsOf } from '../../lib/config/index.ts'
import { ConfigurationDirectory, mistakesOf, read } from './configurations.ts'

const directory = new ConfigurationDirectory()
afterAll(() => directory.remove())

test.each([
  ['127.0.0.1', true],
  ['127.255.3.4', true],
  ['::1', true],
  ['0:0:0:0:0:0:0:1', true],
  ['::ffff:127.0.0.1', true],
  ['::FFFF:127.9.9.9', true],
  ['::ffff:7f00:1', true],
  ['0.0.0.0', false],
  ['::', false],
  ['128.0.0.1', false],
  ['192.0.2.7', false],
  ['::ffff:192.0.2.7', false],
  ['::127.0.0.1', false],
  ['fe80::1%eth0', false],
  ['fd00::1', false],
  ['127.0.0.1.example.com', false],
  ['localhost', false],
  ['', false],
])('whether %s is this host alone: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected)
})

const tls = { certificate: '/c', key: '/k' }

test.each([
  ['an address of all', { host: '0.0.0.0' }, true],
  ['one of version 6', { host: '::' }, true],
  ['one over TLS', { host: '0.0.0.0', tls }, false],
  ['one by an explicit decision', { host: '0.0.0.0', insecure: true }, false],
  ['this host', { host: '127.0.0.1' }, false],
  ['nothing said', {}, false],
  ['a name, which is looked up by who listens', { host: 'db1' }, false],
])('whether others are served in clear at %s: %s', (_, settings, expected) => {
  expect(isExposed(settings)).toBe(expected)
})

test('the refusal says the reason and three ways out', () => {
  expect(() => refuseExposure({ host: '::', port: 25_300 })).toThrow(
    expect.objectContaining({
      code: 'AGENT_INSECURE',
      message: expect.stringMatching(/TLS on \[::\]:25300.*found none/),
      hint: expect.stringMatching(/tls-cert.*127\.0\.0\.1.*insecure/),
    }),
  )
})

describe('what is said about TLS', () => {
  test.each([
    ['tls-cert = "/c"\n', ':1:1: tls-cert needs tls-key beside it'],
    ['tls-key = "/k"\n', ':1:1: tls-key needs tls-cert beside it'],
    ['tls-client-ca = "/ca"\n', ':1:1: tls-client-ca needs tls-cert beside it'],
    ['tls-cert = "/c"\ntls-key = "/k"\ntls-clients = "required"\n', ':3:1: tls-clients needs tls-client-ca beside it'],
    [
      'tls-cert = "/c"\ntls-key = "/k"\ntls-clients = "perhaps"\n',
      ':3:1: tls-clients: expected one of none, optional, required',
    ],
  ])('%j is half of it', async (text, mistake) => {
    const file = directory.file(text)

    const mistakes = await mistakesOf({ file })

    expect(mistakes).toEqual([expect.stringContaining(`${file}${mistake}`)])
  })

  test('reaches the agent', async () => {
    const file = directory.file('tls-cert = "/c"\ntls-key = "/k"\ntls-client-ca = "/ca"\ntls-clients = "optional"\n')

    const { tls: said, insecure } = settingsOf(await read({ file, options: { insecure: true } }))

    expect(said).toEqual({ certificate: '/c', key: '/k', clientAuthorities: '/ca', clients: 'optional' })
    expect(insecure).toBe(true)
    expect(settingsOf(await read({}))).toMatchObject({ insecure: false })
    expect(settingsOf(await read({})).tls).toBeUndefined()
  })
})
