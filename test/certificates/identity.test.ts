/** Files of certificates and keys: which ones are taken, and why others are not. */

import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import {
  alternativeNames,
  commonNames,
  fingerprintOf,
  readAuthorities,
  readIdentity,
} from '../../lib/certificates/index.ts'
import { bundle, daysFromNow, TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

let scratch: string
let authority: TestAuthority
let good: TestIdentity
beforeAll(() => {
  scratch = makeGuardedDirectory('identity')
  authority = TestAuthority.make(scratch)
  good = authority.issue('db1', { names: ['DNS:db1', 'IP:192.0.2.7', 'IP:fd00::7'] })
})
afterAll(() => removeGuardedDirectory(scratch))

const now = Date.now()
const isRoot = process.geteuid?.() === 0

test('a certificate and its key are taken, with its names and its time', async () => {
  const { facts, chain } = await readIdentity(good, 'agent', now)

  expect(facts).toMatchObject({ names: ['db1', '192.0.2.7', 'FD00:0:0:0:0:0:0:7'], isAuthority: false })
  expect(Math.round((facts.untilMs - now) / 86_400_000)).toBe(29)
  expect(chain.length).toBe(1)
})

test('one with those above it is taken, in their order', async () => {
  const below = authority.below('intermediate')
  const { certificate, key } = below.issue('db2')
  const file = bundle(join(scratch, 'chain.crt'), certificate, below.certificate)

  const { chain } = await readIdentity({ certificate: file, key }, 'agent', now)

  expect(chain.map(({ subject }) => subject)).toEqual(['CN=db2', 'CN=intermediate'])
})

test('a certificate may be a link, as certbot keeps it', async () => {
  const certificate = join(scratch, 'link.crt')
  symlinkSync(good.certificate, certificate)

  await expect(readIdentity({ ...good, certificate }, 'agent', now)).resolves.toBeDefined()
})

let copies = 0
const copyOf = (file: string, change: (path: string) => void = () => undefined): string => {
  const path = join(scratch, `copy-${++copies}`)
  copyFileSync(file, path)
  chmodSync(path, 0o600)
  change(path)
  return path
}
const key = (change: (path: string) => void) => () => ({ ...good, key: copyOf(good.key, change) })
const certificate = (change: (path: string) => void) => () => ({
  ...good,
  certificate: copyOf(good.certificate, change),
})
const linked = (): TestIdentity => {
  const path = join(scratch, 'link.key')
  symlinkSync(good.key, path)
  return { ...good, key: path }
}
const locked = (): TestIdentity => {
  const path = join(scratch, 'locked.key')
  execFileSync('openssl', ['pkey', '-in', good.key, '-aes256', '-passout', 'pass:secret', '-out', path])
  chmodSync(path, 0o600)
  return { ...good, key: path }
}
const pipe = (): TestIdentity => {
  const path = join(scratch, 'pipe.key')
  execFileSync('mkfifo', ['-m', '600', path])
  return { ...good, key: path }
}
const directory = (): TestIdentity => {
  const path = join(scratch, 'directory.key')
  mkdirSync(path, { mode: 0o700 })
  return { ...good, key: path }
}

describe('refused is', () => {
  test.each<[string, () => TestIdentity, string, RegExp, RegExp]>([
    [
      'a key that its group may read',
      key((path) => chmodSync(path, 0o640)),
      'AGENT_TLS_FILE',
      /open to others than its owner \(mode 0640\)/,
      /chmod 0400/,
    ],
    [
      'a key that everybody may read',
      key((path) => chmodSync(path, 0o604)),
      'AGENT_TLS_FILE',
      /\(mode 0604\)/,
      /chmod 0400/,
    ],
    [
      'a key that is a link',
      linked,
      'AGENT_TLS_FILE',
      /link\.key cannot be used: it is a symbolic link/,
      /install -m 0400/,
    ],
    ['a key that is a pipe', pipe, 'AGENT_TLS_FILE', /it is not a file/, /name a file/],
    ['a key that is a directory', directory, 'AGENT_TLS_FILE', /it is not a file/, /name a file/],
    [
      'a key that is not there',
      () => ({ ...good, key: join(scratch, 'none') }),
      'AGENT_TLS_FILE',
      /there is no such file/,
      /./,
    ],
    ['a key with a passphrase', locked, 'AGENT_TLS_FILE', /locked with a passphrase/, /openssl pkey/],
    [
      'a key that is none',
      key((path) => writeFileSync(path, 'secret-of-mine')),
      'AGENT_TLS_FILE',
      /it holds no private key/,
      /BEGIN PRIVATE KEY/,
    ],
    [
      'the key of another certificate',
      () => ({ ...good, key: authority.issue('other').key }),
      'AGENT_TLS_KEY',
      /does not belong to the certificate/,
      /stands first/,
    ],
    [
      'a certificate that others may write to',
      certificate((path) => chmodSync(path, 0o664)),
      'AGENT_TLS_FILE',
      /its group may write to it \(mode 0664\)/,
      /chmod go-w/,
    ],
    [
      'a certificate that is none',
      certificate((path) => writeFileSync(path, 'hello')),
      'AGENT_TLS_FILE',
      /it holds no certificate/,
      /BEGIN CERTIFICATE/,
    ],
    [
      'a certificate that is broken',
      certificate((path) =>
        writeFileSync(path, readFileSync(path, 'utf8').replace(/\n[A-Za-z0-9+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA')),
      ),
      'AGENT_TLS_FILE',
      /a certificate in it is broken/,
      /openssl x509/,
    ],
    [
      'a certificate that has expired',
      () => authority.issue('old', { from: daysFromNow(-9), until: daysFromNow(-1) }),
      'AGENT_TLS_EXPIRED',
      /old\.crt has expired on \d{4}-\d\d-\d\d$/,
      /new one/,
    ],
    [
      'a certificate that is not valid yet',
      () => authority.issue('young', { from: daysFromNow(2) }),
      'AGENT_TLS_EXPIRED',
      /is not valid before/,
      /clock/,
    ],
  ])('%s', async (_, make, code, message, hint) => {
    const refused = readIdentity(make(), 'agent', now)

    await expect(refused).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    })
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('secret') })
  })

  const asRoot = isRoot ? test : test.skip
  asRoot.each([
    ['a key', () => ({ ...good, key: copyOf(good.key, (path) => chownSync(path, 12_345, 0)) })],
    ['a certificate', () => ({ ...good, certificate: copyOf(good.certificate, (path) => chownSync(path, 12_345, 0)) })],
  ])('%s of another user', async (_, make) => {
    await expect(readIdentity(make(), 'agent', now)).rejects.toMatchObject({
      code: 'AGENT_TLS_FILE',
      message: expect.stringContaining('it belongs to user 12345, expected root or 0'),
    })
  })

  test('a file in a directory in which everyone may replace it', async () => {
    const lax = join(scratch, 'lax')
    mkdirSync(lax)
    chmodSync(lax, 0o777)
    const path = join(lax, 'agent.key')
    copyFileSync(good.key, path)
    chmodSync(path, 0o600)

    await expect(readIdentity({ ...good, key: path }, 'agent', now)).rejects.toMatchObject({
      code: 'AGENT_TLS_FILE',
      message: expect.stringMatching(/of its directory .*lax: everyone may replace what is in it/),
    })
  })

  test('a file of authorities that anybody else may write to', async () => {
    const path = copyOf(authority.certificate, (file) => chmodSync(file, 0o666))

    await expect(readAuthorities(path, 'agent')).rejects.toMatchObject({ code: 'AGENT_TLS_FILE' })
    await expect(readAuthorities(path, 'client')).rejects.toMatchObject({ code: 'CLIENT_TLS_FILE' })
  })
})

test('what a client refuses of its own files has a name of its own', async () => {
  const open = { ...good, key: copyOf(good.key, (path) => chmodSync(path, 0o644)) }
  const old = authority.issue('old-client', { from: daysFromNow(-9), until: daysFromNow(-1) })

  await expect(readIdentity(open, 'client', now)).rejects.toMatchObject({ code: 'CLIENT_TLS_FILE' })
  await expect(readIdentity(old, 'client', now)).rejects.toMatchObject({ code: 'CLIENT_TLS_EXPIRED' })
})

test('a file that is replaced, by another or by a link to another, has another fingerprint', async () => {
  const path = copyOf(good.certificate)
  const before = await fingerprintOf([path])
  const same = await fingerprintOf([path])
  copyFileSync(authority.certificate, path)
  const rewritten = await fingerprintOf([path])

  expect(same).toBe(before)
  expect(rewritten).not.toBe(before)
  expect(await fingerprintOf([join(scratch, 'none')])).toBe('none')
})

test.each([
  ['DNS:db1, IP Address:192.0.2.7', ['db1', '192.0.2.7']],
  ['DNS:db1, email:me@example.com, URI:http://x', ['db1']],
  ['DNS:"db1, DNS:admin"', ['db1, DNS:admin']],
  ['email:"a, DNS:admin", DNS:db1', ['db1']],
  [String.raw`DNS:"a\", DNS:admin"`, ['a", DNS:admin']],
  ['', []],
])('of the alternative names %j it reads %j', (subjectAltName, names) => {
  expect(alternativeNames({ subjectAltName }).map(({ name }) => name)).toEqual(names)
})

test.each([
  ['CN=db1', ['db1']],
  ['O=Example\nCN=db1\nCN=db2', ['db1', 'db2']],
  ['O=a\\, CN=x', []],
  ['O=a\\0ACN=x\nCN=y', ['y']],
  ['OU=z + CN=multi', ['multi']],
  ['CN=a \\+ CN=b', ['a + CN=b']],
  ['CN=n\u00e9w \\"q\\"', ['n\u00e9w "q"']],
  ['', []],
])('of the subject %j it reads the common names %j', (subject, names) => {
  expect(commonNames({ subject })).toEqual(names)
})
