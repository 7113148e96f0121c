/** TLS behind a real xinetd: one process for each connection, and one for many. */

import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { backupVerdict, fetchBackup, pingAgent, verifyBackup } from '../../lib/client/index.ts'
import { TestAuthority } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { converse } from '../rig/raw-client.ts'
import { tlsReader } from '../rig/tls-reader.ts'
import { Xinetd } from '../rig/xinetd.ts'

let scratch: string
let ca: string
let client: { cert: string; key: string }
let xinetd: Xinetd

beforeAll(async () => {
  scratch = makeGuardedDirectory('inetd-tls')
  const authority = TestAuthority.make(scratch)
  ca = authority.certificate
  const own = authority.issue('localhost', { names: ['DNS:localhost', 'IP:127.0.0.1'] })
  const { certificate: cert, key } = authority.issue('nightly')
  client = { cert, key }
  const source = join(scratch, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), randomBytes(8_000_000))
  const args = (state: string) => [
    ...['--directory', source, '--spool-dir', scratch, '--state-dir', join(scratch, state), '--log', 'none'],
    ...['--tls-cert', own.certificate, '--tls-key', own.key, '--tls-client-ca', ca],
  ]
  xinetd = await Xinetd.start([
    { name: 'nowait', args: ['inetd', ...args('one')] },
    { name: 'wait', args: ['inetd', '--wait', '--idle-seconds', '5', ...args('many')], wait: true },
    { name: 'broken', args: ['inetd', ...args('broken'), '--tls-key', own.certificate] },
  ])
})
afterAll(async () => {
  await xinetd.stop()
  await removeGuardedDirectory(scratch)
})

describe.each(['nowait', 'wait'])('with the service "%s"', (service) => {
  const at = () => ({ host: '127.0.0.1', port: xinetd.port(service), tls: { ca, ...client } })

  test('a backup comes whole, with the verdict, and is delivered', async () => {
    const file = join(scratch, `${service}.tar`)

    const receipt = await fetchBackup({ ...at(), sid: service, target: { file }, requireVerdict: true }).receipt

    await expect(verifyBackup(file, { requireVerdict: true })).resolves.toMatchObject({ sha256: receipt.sha256 })
    await expect(backupVerdict(service, { ...at(), wait: true })).resolves.toMatchObject({ outcome: 'delivered' })
  })

  test('a client that is none of ours is answered', async () => {
    const request = '0.77.0\n1\naction=ping\n\n'

    const { bytes, ended } = await tlsReader({ port: xinetd.port(service), request, ca, ...client }).ended()

    expect(bytes.toString()).toMatch(/^READY\n/)
    expect(ended).toBe('finished')
  })

  test('who has no certificate is refused, and so is who asks in clear', async () => {
    await expect(pingAgent({ ...at(), tls: { ca } })).rejects.toMatchObject({
      facts: { agentCode: 'AGENT_TLS_CLIENT' },
    })
    expect((await converse(xinetd.port(service), '0.76.1\n')).bytes.toString()).toContain('code=AGENT_TLS_REQUIRED')
  })
})

test('an agent that cannot read its key says so in clear, to everybody', async () => {
  const { bytes } = await converse(xinetd.port('broken'), '0.77.0\n1\naction=ping\n\n')

  expect(bytes.toString()).toMatch(
    /^3\nstatus=FAILED\nmsg=the agent cannot start: the key [^\n]*\ncode=AGENT_TLS_FILE\n\n$/,
  )
})
