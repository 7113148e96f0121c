import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { startAgent } from '../../lib/agent/index.ts'
import { pingAgent } from '../../lib/client/index.ts'
import { checkPort } from '../../lib/doctor/agent-port.ts'
import { checkTls } from '../../lib/doctor/tls.ts'
import { bundle, daysFromNow, TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

let scratch: string
let authority: TestAuthority
let good: TestIdentity
beforeAll(() => {
  scratch = makeGuardedDirectory('doctor-tls')
  authority = TestAuthority.make(scratch)
  good = authority.issue('db1', { names: ['DNS:db1', 'IP:192.0.2.7'], until: inDays(200) })
})
afterAll(() => removeGuardedDirectory(scratch))

const now = Date.now()
/** In the middle of a day that is left, however long it takes to make certificates. */
const inDays = (days: number): Date => daysFromNow(days + 0.5)
const listening = { host: '0.0.0.0', port: 25_300 }
const look = (tls: TestIdentity & { clientAuthorities?: string }, nowMs = now) => checkTls({ ...listening, tls }, nowMs)

test.each([
  ['this host alone, in clear', { host: '127.0.0.1', port: 1 }, 'ok', /only this host/],
  ['others, in clear', listening, 'fail', /passwords and backups would travel in clear/],
  ['others, decided so', { ...listening, insecure: true }, 'warn', /in clear \(insecure\)/],
])('an agent that serves %s', async (_, settings, result, found) => {
  expect(await checkTls(settings, now)).toMatchObject([{ check: 'tls', result, found: expect.stringMatching(found) }])
})

test('a good certificate is shown with its names and the days that are left', async () => {
  expect(await look(good)).toEqual([
    { check: 'tls', result: 'ok', found: 'spoken; certificates of clients: none' },
    {
      check: 'certificate',
      result: 'ok',
      found: 'db1, 192.0.2.7, 200 days left',
      facts: { names: ['db1', '192.0.2.7'], daysLeft: 200 },
    },
  ])
})

describe('a certificate', () => {
  const wrongOrder = (): TestIdentity => {
    const one = authority.issue('ordered')
    return { ...one, certificate: bundle(join(scratch, 'order.crt'), one.certificate, good.certificate) }
  }
  const shortAbove = (): TestIdentity => {
    const below = authority.below('short')
    const one = below.issue('below', { until: inDays(200) })
    return { ...one, certificate: bundle(join(scratch, 'above.crt'), one.certificate, below.certificate) }
  }
  const laxKey = (): TestIdentity => {
    const one = authority.issue('lax')
    chmodSync(one.key, 0o644)
    return one
  }

  test.each<[string, () => TestIdentity, string, RegExp]>([
    ['that expires soon', () => authority.issue('soon', { until: inDays(12) }), 'warn', /soon: expires in 12 days/],
    ['below one that expires soon', shortAbove, 'warn', /below: expires in 2[89] days/],
    ['in front of one that has not signed it', wrongOrder, 'warn', /certificate 2 has not signed the one before it/],
    [
      'that has expired',
      () => authority.issue('gone', { from: daysFromNow(-9), until: daysFromNow(-1) }),
      'fail',
      /has expired/,
    ],
    ['for clients', () => authority.issue('for-clients', { purpose: 'clientAuth' }), 'fail', /not for servers/],
    ['whose key is open to others', laxKey, 'fail', /mode 0644/],
    ['with the key of another', () => ({ ...good, key: authority.issue('another').key }), 'fail', /does not belong/],
  ])('%s', async (_, make, result, found) => {
    const [, finding] = await look(make())

    expect(finding).toMatchObject({ check: 'certificate', result, found: expect.stringMatching(found) })
    expect(finding?.todo).toBeTruthy()
  })
})

describe('the authority of clients', () => {
  test.each<[string, () => string, number, string, RegExp]>([
    ['is good', () => authority.certificate, now - 5 * 86_400_000, 'ok', /authority, 3[45] days left/],
    ['expires soon', () => authority.certificate, now + 43_200_000, 'warn', /expires in 29 days/],
    ['is none', () => good.certificate, now, 'fail', /holds no authority/],
    ['has expired', () => authority.certificate, now + 60 * 86_400_000, 'fail', /no client comes in/],
    ['is not there', () => join(scratch, 'none'), now, 'fail', /there is no such file/],
  ])('%s', async (_, file, nowMs, result, found) => {
    const findings = await look({ ...good, clientAuthorities: file() }, nowMs)

    expect(findings[2]).toMatchObject({ check: 'client ca', result, found: expect.stringMatching(found) })
  })
})

test('at the port an agent that speaks TLS is one', async () => {
  const agent = await startAgent({ port: 0, directory: scratch, tls: good })

  const finding = await checkPort({ host: agent.host, port: agent.port }, pingAgent)
  await agent.stop()

  expect(finding).toMatchObject({ result: 'ok', found: expect.stringMatching(/speaks TLS answers at 127\.0\.0\.1:/) })
})
