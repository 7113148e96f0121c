/** Roles by the names of client certificates, over TLS as it is. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { agentStatus, cancelBackup, fetchBackup } from '../../lib/client/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import { spellToken } from '../../lib/protocol/index.ts'
import { addToken, hashOf } from '../../lib/tokens/index.ts'
import { TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

const TOKEN = spellToken(Buffer.alloc(32, 3))

let scratch: string
let agent: RunningAgent
let ca: string
const clients: Record<'nightly' | 'fleet' | 'nobody', TestIdentity> = {} as never

beforeAll(async () => {
  scratch = makeGuardedDirectory('by-certificate')
  mkdirSync(join(scratch, 'data'))
  writeFileSync(join(scratch, 'data', 'ibdata1'), 'a tablespace')
  const authority = TestAuthority.make(scratch)
  ca = authority.certificate
  const own = authority.issue('agent', { names: ['IP:127.0.0.1'] })
  clients.nightly = authority.issue('nightly.example.org')
  clients.fleet = authority.issue('backup-7', { names: ['DNS:host7.fleet.example.org'] })
  clients.nobody = authority.issue('nobody.example.org')
  const tokensFile = join(scratch, 'tokens')
  const entry = { role: 'watcher', createdMs: 0, expiresMs: undefined, revokedMs: undefined }
  await addToken(tokensFile, { ...entry, name: 'watcher-1', hash: hashOf(TOKEN) })
  agent = await startAgent({
    port: 0,
    directory: join(scratch, 'data'),
    stateDirectory: join(scratch, 'state'),
    tls: { ...own, clientAuthorities: ca, clients: 'optional' },
    roles: {
      nightly: { certificates: ['nightly.example.org'], actions: ['backup', 'status'] },
      fleet: { certificates: ['*.fleet.example.org'], actions: ['status'] },
      watcher: { actions: ['status'] },
    },
    tokensFile,
  })
})
afterAll(async () => {
  await agent.stop()
  await removeGuardedDirectory(scratch)
})

const as = (identity?: TestIdentity, token?: string) => ({
  host: '127.0.0.1',
  port: agent.port,
  tls: { ca, ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }) },
  token,
})

test('a certificate with the name of a role gives it, and the history says by which', async () => {
  const target = { file: join(scratch, 'by-name.tar') }
  await fetchBackup({ ...as(clients.nightly), sid: 'by name', target }).receipt

  const { jobs } = await readHistory(join(scratch, 'state'))
  expect(jobs.at(-1)).toMatchObject({
    sid: 'by name',
    caller: { role: 'nightly', certificateName: 'nightly.example.org' },
  })
  await expect(cancelBackup('by name', as(clients.nightly))).rejects.toMatchObject({
    facts: { agentCode: 'AGENT_ACCESS_ROLE' },
  })
})

test('so does one below the domain of a role, by its DNS name', async () => {
  await expect(agentStatus(as(clients.fleet))).resolves.toMatchObject({ jobs: [] })
})

test.each<[string, () => Parameters<typeof as>]>([
  ['no certificate and no token', () => []],
  ['one that is trusted and in no role', () => [clients.nobody]],
  ['a good one beside a token that is none', () => [clients.nightly, spellToken(Buffer.alloc(32, 4))]],
])('%s gives none', async (_, identity) => {
  await expect(agentStatus(as(...identity()))).rejects.toMatchObject({
    code: 'CLIENT_REFUSED',
    facts: { agentCode: 'AGENT_ACCESS_DENIED' },
  })
})

test('a token is shown over TLS, and decides before the certificate', async () => {
  await expect(agentStatus(as(clients.nobody, TOKEN))).resolves.toMatchObject({ jobs: [] })
  const target = { file: join(scratch, 'never.tar') }
  await expect(fetchBackup({ ...as(clients.nightly, TOKEN), target }).receipt).rejects.toMatchObject({
    facts: { agentCode: 'AGENT_ACCESS_ROLE' },
  })
})
