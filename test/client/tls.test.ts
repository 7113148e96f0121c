/** Our client over TLS: whom it believes, what it says when it does not, and whole backups. */

import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createServer as createTlsServer, type TlsOptions as ServerOptions } from 'node:tls'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import {
  agentStatus,
  backupVerdict,
  cancelBackup,
  fetchBackup,
  pingAgent,
  replaySession,
  type TlsOptions,
  verifyBackup,
} from '../../lib/client/index.ts'
import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { daysFromNow, TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { runProgram } from '../rig/run-program.ts'

const MIB = 1024 * 1024

let scratch: string
let authority: TestAuthority
let ca: string
let identity: { cert: string; key: string }
let directory: string
/** Wants certificates. */
let agent: RunningAgent
const agents: RunningAgent[] = []

beforeAll(async () => {
  scratch = makeGuardedDirectory('client-tls')
  authority = TestAuthority.make(scratch)
  ca = authority.certificate
  const { certificate: cert, key } = authority.issue('nightly', { purpose: 'clientAuth' })
  identity = { cert, key }
  directory = join(scratch, 'source')
  mkdirSync(join(directory, 'shop'), { recursive: true })
  writeFileSync(join(directory, 'shop', 'orders.ibd'), Buffer.alloc(3 * MIB, 'orders'))
  writeFileSync(join(directory, 'ibdata1'), '')
  truncateSync(join(directory, 'ibdata1'), 16 * MIB)
  agent = await agentWith(authority.issue('db1', { names: ['DNS:db1', 'IP:127.0.0.1'], purpose: 'serverAuth' }), ca)
})
afterAll(async () => {
  await Promise.all(agents.map((one) => one.stop()))
  await removeGuardedDirectory(scratch)
})

const agentWith = async (own: TestIdentity | undefined, clientAuthorities?: string): Promise<RunningAgent> => {
  const tls =
    own === undefined ? {} : { tls: { ...own, ...(clientAuthorities === undefined ? {} : { clientAuthorities }) } }
  const started = await startAgent({ port: 0, directory, ...tls })
  agents.push(started)
  return started
}

const at = ({ port }: { port: number }, tls: TlsOptions = {}) => ({
  host: '127.0.0.1',
  port,
  tls: { ca, ...identity, ...tls },
})

describe('a whole backup with certificates on both sides', () => {
  test.each([
    ['framed', '0.77', 'agent-verdict'],
    ['octet', '0.77', 'archive'],
    ['base64', '0.77', 'archive'],
    ['uuencode', '0.77', 'archive'],
    ['octet', '0.76', 'archive'],
    ['base64', '0.76', 'archive'],
    ['uuencode', '0.76', 'archive'],
  ] as const)('comes as %s of %s, with its proof: %s', async (encoding, protocol, proof) => {
    const file = join(scratch, `${encoding}-${protocol}.tar`)

    const receipt = await fetchBackup({
      ...at(agent),
      sid: `${encoding} ${protocol}`,
      encoding,
      protocol,
      target: { file },
    }).receipt

    expect(receipt).toMatchObject({ proof, entries: 3, files: 2 })
    await expect(verifyBackup(file)).resolves.toMatchObject({ sha256: receipt.sha256 })
  })

  test('is delivered: the receipt goes back over TLS', async () => {
    await fetchBackup({ ...at(agent), sid: 'receipt', target: { file: join(scratch, 'receipt.tar') } }).receipt

    await expect(backupVerdict('receipt', { ...at(agent), wait: true })).resolves.toMatchObject({
      outcome: 'delivered',
    })
  })
})

test('every question is asked over TLS', async () => {
  await expect(pingAgent(at(agent))).resolves.toMatchObject({ protocol: '0.77.0' })
  await expect(agentStatus(at(agent))).resolves.toMatchObject({ engine: 'directory' })
  await expect(cancelBackup('nothing', at(agent))).rejects.toMatchObject({ code: 'JOB_UNKNOWN' })
  await expect(backupVerdict('nothing', at(agent))).rejects.toMatchObject({ code: 'JOB_UNKNOWN' })
})

test('a recorded session is replayed over TLS', async () => {
  const session = new URL('../../../fixtures/wire/cancel-unknown.session', import.meta.url)

  await expect(replaySession(session, at(agent))).resolves.toBeDefined()
})

describe('an agent is believed', () => {
  test.each<[string, TlsOptions]>([
    ['by the address that was asked', {}],
    ['by the name that was said', { name: 'db1' }],
  ])('%s', async (_, tls) => {
    await expect(pingAgent(at(agent, tls))).resolves.toBeDefined()
  })

  test('by a name with a joker, and an authority between', async () => {
    const below = authority.below('between')
    const { certificate, key } = below.issue('joker', { names: ['DNS:*.example.com'] })
    writeFileSync(certificate, readFileSync(certificate, 'utf8') + readFileSync(below.certificate, 'utf8'))
    const one = await agentWith({ certificate, key })

    await expect(pingAgent(at(one, { name: 'db7.example.com' }))).resolves.toBeDefined()
    await expect(pingAgent(at(one, { name: 'a.db7.example.com' }))).rejects.toMatchObject({ code: 'CLIENT_TLS_NAME' })
  })
})

describe('an agent is not believed, and nothing is asked,', () => {
  const expected = (code: string, message: RegExp, hint: RegExp) => ({
    code,
    message: expect.stringMatching(message),
    hint: expect.stringMatching(hint),
  })

  test('that another authority has signed', async () => {
    const other = TestAuthority.make(scratch, 'other').certificate
    await expect(pingAgent(at(agent, { ca: other }))).rejects.toMatchObject(
      expected('CLIENT_TLS_UNTRUSTED', /127\.0\.0\.1:\d+ comes from nobody who is trusted here/, /--tls-ca/),
    )
  })

  test('that no authority of this system has signed', async () => {
    await expect(pingAgent({ host: '127.0.0.1', port: agent.port, tls: {} })).rejects.toMatchObject({
      code: 'CLIENT_TLS_UNTRUSTED',
    })
  })

  test.each<[string, readonly string[], TlsOptions]>([
    ['a name', ['DNS:db2'], { name: 'db1' }],
    ['an address', ['IP:127.0.0.2'], {}],
    ['an address that is only a name', ['DNS:127.0.0.1'], {}],
    ['a name that is only the common one, where there are others', ['DNS:db2'], { name: 'wrong' }],
  ])('whose certificate is for another one: %s', async (_, names, tls) => {
    const one = await agentWith(authority.issue('wrong', { names }))
    await expect(pingAgent(at(one, tls))).rejects.toMatchObject(
      expected('CLIENT_TLS_NAME', /is for another name \(.*(db2|127\.0\.0)/, /--tls-name/),
    )
  })

  test('whose certificate has expired', async () => {
    const old = authority.issue('expired', { names: ['IP:127.0.0.1'], from: daysFromNow(-9), until: daysFromNow(-1) })
    const server = await tlsServer(old)
    await expect(pingAgent(at(server))).rejects.toMatchObject(
      expected('CLIENT_TLS_EXPIRED', /is not valid now/, /new one/),
    )
    server.close()
  })

  test('that shows the certificate of a client', async () => {
    const client = authority.issue('a-client', { names: ['IP:127.0.0.1'], purpose: 'clientAuth' })
    const server = await tlsServer(client)
    await expect(pingAgent(at(server))).rejects.toMatchObject({ code: 'CLIENT_TLS_UNTRUSTED' })
    server.close()
  })

  test('that speaks no TLS', async () => {
    const plain = await agentWith(undefined)
    await expect(pingAgent(at(plain))).rejects.toMatchObject(
      expected('CLIENT_TLS_NOT_SPOKEN', /127\.0\.0\.1:\d+ speaks no TLS/, /without --tls/),
    )
  })

  test('that speaks only what is too old', async () => {
    const server = await tlsServer(authority.issue('ancient', { names: ['IP:127.0.0.1'] }), {
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    })
    await expect(pingAgent(at(server))).rejects.toMatchObject(
      expected('CLIENT_TLS_VERSION', /no TLS that is new enough/, /update/),
    )
    server.close()
  })

  test('that closes the connection instead', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    await expect(pingAgent(at(server.address() as AddressInfo))).rejects.toMatchObject({ code: 'CLIENT_TLS_HANDSHAKE' })
    server.close()
  })

  test('that never answers the handshake', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(server, 'listening')
    await expect(pingAgent({ ...at(server.address() as AddressInfo), connectSeconds: 1 })).rejects.toMatchObject({
      code: 'CLIENT_CONNECT',
    })
    server.close()
  })
})

/** TLS that is not ours. It tells every byte that came through. */
const tlsServer = async (
  { certificate, key }: TestIdentity,
  more: ServerOptions = {},
): Promise<{ port: number; heard(): string; close(): void }> => {
  let heard = ''
  const server = createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key), ...more }, (socket) => {
    socket
      .on('error', () => undefined)
      .on('data', (bytes) => {
        heard += bytes.toString()
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, heard: () => heard, close: () => server.close() }
}

describe('a peer that wants a certificate, and says so by an alert,', () => {
  const wanting = (maxVersion: 'TLSv1.2' | 'TLSv1.3') =>
    tlsServer(authority.issue(`wanting-${maxVersion}`, { names: ['IP:127.0.0.1'] }), {
      ca: readFileSync(ca),
      requestCert: true,
      rejectUnauthorized: true,
      maxVersion,
    })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('is understood in %s', async (version) => {
    const server = await wanting(version)

    await expect(pingAgent({ host: '127.0.0.1', port: server.port, tls: { ca } })).rejects.toMatchObject({
      code: 'CLIENT_TLS_CERTIFICATE',
      message: expect.stringContaining('wants a certificate'),
      hint: expect.stringContaining('--tls-cert'),
    })
    expect(server.heard()).toBe('')
    server.close()
  })
})

describe('a client whose certificate the agent does not take', () => {
  test('is told so in the words of the agent', async () => {
    await expect(pingAgent({ host: '127.0.0.1', port: agent.port, tls: { ca } })).rejects.toMatchObject({
      code: 'CLIENT_REFUSED',
      facts: { agentCode: 'AGENT_TLS_CLIENT' },
      message: expect.stringContaining('--tls-cert'),
    })
  })

  test('and one that asks in clear, too', async () => {
    await expect(pingAgent({ host: '127.0.0.1', port: agent.port })).rejects.toMatchObject({
      code: 'CLIENT_REFUSED',
      facts: { agentCode: 'AGENT_TLS_REQUIRED' },
      message: expect.stringContaining('--tls'),
    })
  })

  test('has no backup, and its own file is not there', async () => {
    const file = join(scratch, 'refused.tar')
    const options = { host: '127.0.0.1', port: agent.port, tls: { ca }, target: { file } }

    await expect(fetchBackup(options).receipt).rejects.toMatchObject({ facts: { agentCode: 'AGENT_TLS_CLIENT' } })
    expect(existsSync(file)).toBe(false)
  })
})

describe('the command line', () => {
  const run = (...words: string[]) => runProgram(process.execPath, [CLIENT_PROGRAM, ...words])
  const where = () => `127.0.0.1:${agent.port}`
  const words = () => ['--tls-ca', ca, '--tls-cert', identity.cert, '--tls-key', identity.key]

  test('fetches over TLS, and each option that names something of TLS means TLS', async () => {
    const file = join(scratch, 'by-command.tar')

    const fetched = await run('fetch', where(), ...words(), '--out', file)
    const named = await run('ping', where(), '--tls-name', 'db1')
    const clear = await run('ping', where())

    expect(fetched).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('refused') })
    expect(named.stderr).toContain('[CLIENT_TLS_UNTRUSTED]')
    expect(clear.stderr).toMatch(/--tls.*\[CLIENT_REFUSED\]/)
  })

  test.each([['ping'], ['status'], ['cancel', 'nothing'], ['verdict', 'nothing']])(
    '%s asks over TLS',
    async (command, ...more) => {
      const { stderr, stdout } = await run(command ?? '', where(), ...more, ...words())

      expect(more.length === 0 ? stdout.toString() : stderr).toMatch(
        more.length === 0 ? /kv-backup-agent/ : /JOB_UNKNOWN/,
      )
    },
  )

  test.each([
    ['a certificate without its key', () => ['--tls-cert', identity.cert], 'CLI_USAGE', 2],
    ['an authority that is not there', () => ['--tls-ca', join(scratch, 'none')], 'CLIENT_TLS_FILE', 2],
    ['a key that is none', () => ['--tls-cert', identity.cert, '--tls-key', ca], 'CLIENT_TLS_FILE', 2],
  ])('refuses %s before it connects', async (_, options, code, exitCode) => {
    const { stderr, exitCode: found } = await run('ping', '127.0.0.1:1', ...options())

    expect(stderr).toContain(`[${code}]`)
    expect(found).toBe(exitCode)
  })
})
