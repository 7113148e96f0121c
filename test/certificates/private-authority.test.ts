/** A private authority: what OpenSSL says of it, and a backup with it on both sides. */

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { startAgent } from '../../lib/agent/index.ts'
import { makeAuthority, makeCertificate } from '../../lib/certificates/index.ts'
import { fetchBackup } from '../../lib/client/index.ts'
import { AGENT_PROGRAM } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { plainEnvironment, runProgram } from '../rig/run-program.ts'

let scratch: string
let fleet: string
beforeAll(() => {
  scratch = makeGuardedDirectory('authority')
  fleet = join(scratch, 'fleet')
})
afterAll(() => removeGuardedDirectory(scratch))

const run = (...words: string[]) => runProgram(process.execPath, [AGENT_PROGRAM, 'certificates', ...words])
const openssl = (...words: string[]): string => execFileSync('openssl', words).toString()
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('three commands make a fleet, and say what belongs on each machine', async () => {
  const ca = await run('ca', fleet)
  const server = await run('server', fleet, 'db1.example.com', '127.0.0.1', 'fd00::7')
  const client = await run('client', fleet, 'nightly')

  for (const { exitCode, stderr } of [ca, server, client]) expect([exitCode, stderr]).toEqual([0, ''])
  expect(readdirSync(fleet).toSorted()).toEqual([
    'ca.crt',
    'ca.key',
    'client-nightly.crt',
    'client-nightly.key',
    'server-db1.example.com.crt',
    'server-db1.example.com.key',
  ])
  expect(server.stdout.toString()).toMatch(
    /listen = "0\.0\.0\.0:25300"\n {2}tls-cert = "[^"]+server-db1[^"]+"\n {2}tls-key = /,
  )
  expect(client.stdout.toString()).toMatch(
    /--tls-ca ca\.crt --tls-cert client-nightly\.crt --tls-key client-nightly\.key/,
  )
})

test.each([
  ['server-db1.example.com', 'sslserver', ['-verify_hostname', 'db1.example.com']],
  ['server-db1.example.com', 'sslserver', ['-verify_ip', '127.0.0.1']],
  ['server-db1.example.com', 'sslserver', ['-verify_ip', 'fd00::7']],
  ['client-nightly', 'sslclient', ['-verify_hostname', 'nightly']],
])('OpenSSL takes %s for %s %j', (name, purpose, more) => {
  const words = ['verify', '-x509_strict', '-CAfile', join(fleet, 'ca.crt'), '-purpose', purpose, ...more]

  expect(openssl(...words, join(fleet, `${name}.crt`))).toMatch(/: OK\n$/)
})

test.each([
  ['server-db1.example.com', ['-purpose', 'sslclient']],
  ['client-nightly', ['-purpose', 'sslserver']],
  ['server-db1.example.com', ['-verify_hostname', 'db2.example.com']],
])('and %s for nothing else: %j', (name, more) => {
  const words = ['verify', '-CAfile', join(fleet, 'ca.crt'), ...more, join(fleet, `${name}.crt`)]

  expect(spawnSync('openssl', words).status).not.toBe(0)
})

test('what is in them is what stands in the book', () => {
  const text = (name: string): string => openssl('x509', '-in', join(fleet, `${name}.crt`), '-noout', '-text')

  expect(text('ca')).toMatch(/ASN1 OID: prime256v1[\s\S]*Basic Constraints: critical\s+CA:TRUE, pathlen:0/)
  expect(text('ca')).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign/)
  expect(text('server-db1.example.com')).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
  expect(text('server-db1.example.com')).toMatch(/Key Usage: critical\s+Digital Signature\s/)
  expect(text('server-db1.example.com')).toMatch(/Extended Key Usage: *\s+TLS Web Server Authentication\s/)
  expect(text('client-nightly')).toMatch(/Extended Key Usage: *\s+TLS Web Client Authentication\s/)
  const days = (name: string): number => {
    const { validFrom, validTo } = new X509Certificate(readFileSync(join(fleet, `${name}.crt`)))
    return Math.round((Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000)
  }
  expect(['ca', 'server-db1.example.com', 'client-nightly'].map(days)).toEqual([3650, 825, 825])
})

test('keys are open to their owner alone, whatever the umask is', async () => {
  const directory = join(scratch, 'umask')
  const words = [AGENT_PROGRAM, 'certificates', 'ca', directory]
  await runProgram('sh', ['-c', 'umask 0; exec "$@"', 'sh', process.execPath, ...words])

  expect(modeOf(directory)).toBe('700')
  for (const key of [
    join(directory, 'ca.key'),
    ...['ca', 'client-nightly'].map((name) => join(fleet, `${name}.key`)),
  ]) {
    expect([key, modeOf(key)]).toEqual([key, '600'])
  }
})

test('nothing is ever overwritten, and nothing is left of what could not be made', async () => {
  const before = readFileSync(join(fleet, 'ca.key'), 'utf8')
  writeFileSync(join(fleet, 'client-twice.key'), 'mine')
  symlinkSync(join(scratch, 'elsewhere'), join(fleet, 'client-link.key'))

  const again = await run('ca', fleet)
  const twice = await run('client', fleet, 'twice')
  const link = await run('client', fleet, 'link')

  for (const { exitCode, stderr } of [again, twice, link]) {
    expect(exitCode).toBe(7)
    expect(stderr).toContain('[CERTIFICATE_EXISTS]')
  }
  expect(readFileSync(join(fleet, 'ca.key'), 'utf8')).toBe(before)
  expect(readFileSync(join(fleet, 'client-twice.key'), 'utf8')).toBe('mine')
  expect(readdirSync(scratch)).not.toContain('elsewhere')
  expect(
    readdirSync(fleet)
      .filter((name) => /twice|link/.test(name))
      .toSorted(),
  ).toEqual(['client-link.key', 'client-twice.key'])
})

describe('refused is', () => {
  test.each([
    ['a name with a newline', 'db1\nCN = root', 'CLI_USAGE'],
    ['a name with a comma', 'db1,DNS:root', 'CLI_USAGE'],
    ['a name that openssl would expand', '$ENV::HOME', 'CLI_USAGE'],
    ['a path', '../db1', 'CLI_USAGE'],
    ['an option', '-config', 'CLI_USAGE'],
    ['half an address', '300.1.2.3', 'CLI_USAGE'],
    ['an address that programs read differently', '010.0.0.1', 'CLI_USAGE'],
    ['a name that is an address to many programs', '0x7f.0.0.1', 'CLI_USAGE'],
    ['an address that only this host understands', 'fe80::1%eth0', 'CLI_USAGE'],
    ['nothing', '', 'CLI_USAGE'],
  ])('%s', async (_, name, code) => {
    await expect(makeCertificate(fleet, { kind: 'server', names: [name], days: 1 }, Date.now())).rejects.toMatchObject({
      code,
    })
  })

  test('a directory without an authority, and one that others may write to', async () => {
    const [empty, lax] = [join(scratch, 'empty'), join(scratch, 'lax')]
    mkdirSync(empty, { mode: 0o700 })
    execFileSync('mkdir', ['-m', '0777', lax])

    await expect(makeCertificate(empty, { kind: 'client', names: ['one'], days: 1 }, Date.now())).rejects.toMatchObject(
      {
        code: 'CERTIFICATE_AUTHORITY',
        hint: expect.stringContaining('certificates ca'),
      },
    )
    await expect(makeAuthority(lax, 1, Date.now())).rejects.toMatchObject({ code: 'CERTIFICATE_AUTHORITY' })
  })

  /** A fleet of its own, whose authority somebody has changed. */
  const changed = async (name: string, change: (home: string) => void): Promise<Promise<unknown>> => {
    const home = join(scratch, name)
    await makeAuthority(home, 10, Date.now())
    change(home)
    return makeCertificate(home, { kind: 'client', names: ['one'], days: 1 }, Date.now()).catch((error) => error)
  }

  test.each<[string, (home: string) => void, RegExp, RegExp]>([
    ['open-key', (home) => chmodSync(join(home, 'ca.key'), 0o644), /ca\.key.*open to others.*0644/, /^chmod 0400 /],
    [
      'no-key',
      (home) => rmSync(join(home, 'ca.key')),
      /ca\.key.*there is no such file/,
      /^sign where the authority was made/,
    ],
    [
      'foreign-key',
      (home) => writeFileSync(join(home, 'ca.key'), readFileSync(join(fleet, 'ca.key'))),
      /ca\.key does not belong to the certificate .*ca\.crt/,
      /is one of the two files old/,
    ],
    [
      'cut-short',
      (home) => truncateSync(join(home, 'ca.crt')),
      /holds no certificate/,
      /put a copy of it there; or, .* was killed.*: mv .*ca\.crt /,
    ],
  ])('an authority that cannot sign: %s', async (name, change, problem, hint) => {
    const error = await changed(name, change)

    expect(error).toMatchObject({
      code: 'CERTIFICATE_AUTHORITY',
      message: expect.stringMatching(problem),
      hint: expect.stringMatching(hint),
    })
  })

  test('an authority of which nothing but the names is there: they may be removed', async () => {
    const home = join(scratch, 'killed')
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, 'ca.crt'), '')

    await expect(makeAuthority(home, 10, Date.now())).rejects.toMatchObject({
      code: 'CERTIFICATE_EXISTS',
      hint: expect.stringMatching(/was killed.*: mv .*ca\.crt .*, and make it again/),
    })
  })

  test('a disk that takes nothing more, and nothing is left there', async () => {
    const home = join(scratch, 'full')
    const words = ['--fsize=0', process.execPath, AGENT_PROGRAM, 'certificates', 'ca', home]

    const { stderr, exitCode } = await runProgram('prlimit', words)

    expect(stderr).toMatch(/cannot be written: EFBIG \[CERTIFICATE_WRITE\]/)
    expect(exitCode).toBe(7)
    expect(readdirSync(home)).toEqual([])
  })

  test('a host without openssl', async () => {
    const { stderr, exitCode } = await runProgram(
      process.execPath,
      [AGENT_PROGRAM, 'certificates', 'ca', join(scratch, 'without')],
      { environment: { ...plainEnvironment(), PATH: '/nowhere' } },
    )

    expect(stderr).toMatch(/openssl.*\[CERTIFICATE_MAKING\]/)
    expect(exitCode).toBe(8)
    expect(readdirSync(join(scratch, 'without'))).toEqual([])
  })
})

test('none outlives the authority', async () => {
  const directory = join(scratch, 'short')
  await makeAuthority(directory, 10, Date.now())

  const { stdout } = await run('server', directory, 'db1')
  const short = await makeCertificate(directory, { kind: 'server', names: ['db2'], days: 5 }, Date.now())

  const { validTo } = new X509Certificate(readFileSync(join(directory, 'server-db1.crt')))
  expect(Date.parse(validTo)).toBeLessThan(Date.now() + 10 * 86_400_000)
  expect(stdout.toString()).toMatch(/until +\d{4}-\d\d-\d\d, as long as the authority\n/)
  expect(short.isShortened).toBe(false)
})

test('a backup with them on both sides', async () => {
  const source = join(scratch, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), Buffer.alloc(1_000_000, 'x'))
  const own = (name: string, kind: 'crt' | 'key') => join(fleet, `${name}.${kind}`)
  const agent = await startAgent({
    port: 0,
    directory: source,
    tls: {
      certificate: own('server-db1.example.com', 'crt'),
      key: own('server-db1.example.com', 'key'),
      clientAuthorities: own('ca', 'crt'),
    },
  })

  const { receipt } = fetchBackup({
    host: '127.0.0.1',
    port: agent.port,
    tls: { ca: own('ca', 'crt'), cert: own('client-nightly', 'crt'), key: own('client-nightly', 'key') },
    target: { file: join(scratch, 'backup.tar') },
  })

  await expect(receipt).resolves.toMatchObject({ proof: 'agent-verdict' })
  await agent.stop()
})
