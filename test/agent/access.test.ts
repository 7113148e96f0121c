import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type Access, authorise, type Grant } from '../../lib/agent/access.ts'
import type { Instance, Instances } from '../../lib/agent/instance.ts'
import { type CallerChannel, namedRoles } from '../../lib/agent/roles.ts'
import { ROLE_ACTIONS, type Role } from '../../lib/config/index.ts'
import type { BackupError } from '../../lib/errors/index.ts'
import { parseVersion, readRequest } from '../../lib/protocol/index.ts'
import { addToken, hashOf } from '../../lib/tokens/index.ts'

let scratch: string
let tokensFile: string

const NOW = Date.parse('2026-03-01T00:00:00Z')
const DAY = 24 * 3_600_000

/** One of each kind. */
const TOKENS = {
  'for-one': { role: 'one' },
  'for-two': { role: 'two' },
  'for-one-until-tomorrow': { role: 'one', expiresMs: NOW + DAY },
  expired: { role: 'one', expiresMs: NOW - DAY },
  'expires-now': { role: 'one', expiresMs: NOW },
  revoked: { role: 'one', revokedMs: NOW - DAY },
  'of-no-role': { role: 'three' },
} as const
type TokenName = keyof typeof TOKENS

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'access-'))
  tokensFile = join(scratch, 'tokens')
  for (const [name, { role, ...more }] of Object.entries(TOKENS)) {
    const entry = { expiresMs: undefined, revokedMs: undefined, ...more }
    await addToken(tokensFile, { name, hash: hashOf(`token ${name}`), role, createdMs: NOW - 2 * DAY, ...entry })
  }
})
afterAll(() => rmSync(scratch, { recursive: true }))

const instance = (name: string | undefined): Instance =>
  ({ name, settings: { socket: `/run/${name}.sock` } }) as Instance
const INSTANCES: Instances = {
  main: instance(undefined),
  named: new Map(['shop', 'crm'].map((name) => [name, instance(name)])),
  first: instance(undefined),
}
const OPTION_SETS = { replica: { args: ['--slave-info'], match: '--slave-info' }, slow: { args: ['--throttle=1'] } }

const accessOf = (roles: Readonly<Record<string, Role>>, file: string | undefined = tokensFile): Access => ({
  roles: namedRoles(roles),
  tokensFile: file,
  instances: INSTANCES,
  optionSets: OPTION_SETS,
  wallClockMs: () => NOW,
})

const OPTIONS = 'xtrabackup-agent:innobackupex-opts'
const SERVER = 'the role one does not allow this server; it allows instance=shop'
const SET = 'the role one does not allow these options (xtrabackup-agent:innobackupex-opts); it allows replica'

const BACKUP = { action: 'copy from' }
const HERE: CallerChannel = { address: '192.0.2.7', certificateNames: [] }

interface Caller {
  readonly token?: TokenName | 'nobody knows' | undefined
  readonly channel?: Partial<CallerChannel>
}

const ask = (
  access: Access | undefined,
  pairs: Readonly<Record<string, string>>,
  { token, channel }: Caller = {},
): Promise<Grant> => {
  const request = readRequest(new Map(Object.entries(pairs)), parseVersion('0.77.0'))
  return authorise(
    { request, token: token === undefined ? undefined : `token ${token}` },
    { ...HERE, ...channel },
    access,
  )
}

const refusal = async (asked: Promise<Grant>): Promise<BackupError> => {
  const grant = await asked.catch((error: BackupError) => error)
  if (grant instanceof Error) return grant
  throw new Error('it was granted')
}

describe('without a role', () => {
  test('everybody may ask everything, whatever token is sent', async () => {
    const grant = await ask(undefined, BACKUP, { token: 'nobody knows' })

    expect(grant.caller).toBeUndefined()
    expect([undefined, 'shop'].map(grant.sees)).toEqual([true, true])
  })
})

describe('a role is had', () => {
  test.each<[string, Caller, object]>([
    ['by a token', { token: 'for-one' }, { role: 'one', tokenName: 'for-one' }],
    ['by a token that is still good', { token: 'for-one-until-tomorrow' }, { role: 'one' }],
    [
      'by a certificate',
      { channel: { certificateNames: ['b.example.org'] } },
      { role: 'one', certificateName: 'b.example.org' },
    ],
    [
      'by any name of the certificate',
      { channel: { certificateNames: ['Backup', 'b.example.org'] } },
      { role: 'one', certificateName: 'b.example.org' },
    ],
    [
      'by a certificate below a domain',
      { channel: { certificateNames: ['any.fleet.example.org'] } },
      { role: 'two', certificateName: 'any.fleet.example.org' },
    ],
    [
      'by its exact name before the domain',
      { channel: { certificateNames: ['own.fleet.example.org'] } },
      { role: 'one', certificateName: 'own.fleet.example.org' },
    ],
    ['by an address', { channel: { address: '198.51.100.9' } }, { role: 'wide' }],
    [
      'by an address as a socket for both families says it',
      { channel: { address: '::ffff:198.51.100.9' } },
      { role: 'wide' },
    ],
    ['by the nearest of the networks around an address', { channel: { address: '198.51.100.200' } }, { role: 'near' }],
    [
      'by a token, whatever else is shown',
      { token: 'for-two', channel: { address: '198.51.100.9', certificateNames: ['b.example.org'] } },
      { role: 'two', tokenName: 'for-two' },
    ],
    [
      'by a certificate before an address',
      { channel: { address: '198.51.100.9', certificateNames: ['b.example.org'] } },
      { role: 'one' },
    ],
  ])('%s', async (_, caller, expected) => {
    const grant = await ask(accessOf(ROLES), BACKUP, caller)

    expect(grant.caller).toMatchObject(expected)
  })

  const ROLES: Readonly<Record<string, Role>> = {
    one: { certificates: ['b.example.org', 'own.fleet.example.org'] },
    two: { certificates: ['*.fleet.example.org'] },
    wide: { addresses: ['198.51.100.0/24'], withoutToken: true },
    near: { addresses: ['198.51.100.192/26', '203.0.113.1'], withoutToken: true },
    restricted: { addresses: ['203.0.113.0/24'], certificates: ['far.example.org'] },
  }

  test.each<[string, Caller, RegExp]>([
    ['nothing', {}, /^no token, no certificate/],
    ['a token that nobody knows', { token: 'nobody knows' }, /not known/],
    ['an expired token', { token: 'expired' }, /has expired/],
    ['a token in the very moment in which it expires', { token: 'expires-now' }, /has expired/],
    ['a revoked token', { token: 'revoked' }, /was revoked/],
    ['a token whose role is gone', { token: 'of-no-role' }, /not in the configuration/],
    [
      'a bad token, where the address would do',
      { token: 'revoked', channel: { address: '198.51.100.9' } },
      /was revoked/,
    ],
    [
      'a bad token, where the certificate would do',
      { token: 'nobody knows', channel: { certificateNames: ['b.example.org'] } },
      /not known/,
    ],
    ['another name', { channel: { certificateNames: ['c.example.org'] } }, /^no token/],
    ['its name in capitals', { channel: { certificateNames: ['B.EXAMPLE.ORG'] } }, /^no token/],
    ['a name two labels below the domain', { channel: { certificateNames: ['a.b.fleet.example.org'] } }, /^no token/],
    ['the domain itself', { channel: { certificateNames: ['fleet.example.org'] } }, /^no token/],
    ['a certificate for a star', { channel: { certificateNames: ['*.fleet.example.org'] } }, /^no token/],
    ['a name that only ends alike', { channel: { certificateNames: ['xfleet.example.org'] } }, /^no token/],
    ['the address of a role that wants more than one', { channel: { address: '203.0.113.9' } }, /^no token/],
    [
      'a certificate from elsewhere than its role allows',
      { channel: { certificateNames: ['far.example.org'] } },
      /^the role is not for this address/,
    ],
    ['no address at all', { channel: { address: '' } }, /^no token/],
  ])('but not by %s; the answer is always the same, and the reason is for the log', async (_, caller, why) => {
    const refused = await refusal(ask(accessOf(ROLES), BACKUP, caller))
    const other = await refusal(ask(accessOf(ROLES), { action: 'status' }))

    const { code, message, hint } = refused
    expect({ code, message, hint }).toEqual({ code: 'AGENT_ACCESS_DENIED', message: other.message, hint: other.hint })
    expect(refused.facts['why']).toMatch(why)
    expect(JSON.stringify(refused.facts)).not.toContain('token nobody')
  })

  test('ping asks for none', async () => {
    const grant = await ask(accessOf(ROLES), { action: 'ping' }, { token: 'revoked' })

    expect(grant.caller).toBeUndefined()
    expect(grant.sees(undefined)).toBe(false)
  })
})

describe('a file of tokens', () => {
  const ROLES: Readonly<Record<string, Role>> = {
    one: { certificates: ['b.example.org'] },
    near: { addresses: ['192.0.2.0/24'], withoutToken: true },
  }
  const WHOEVER: readonly Caller[] = [
    {},
    { token: 'for-one' },
    { channel: { certificateNames: ['b.example.org'] } },
    { channel: { address: '192.0.2.1' } },
  ]

  test('that cannot be believed refuses everybody, in the words of every refusal', async () => {
    const broken = join(scratch, 'broken')
    writeFileSync(broken, 'rubbish\n', { mode: 0o600 })

    for (const caller of WHOEVER) {
      const refused = await refusal(ask(accessOf(ROLES, broken), BACKUP, caller))
      expect(refused).toMatchObject({
        code: 'AGENT_ACCESS_DENIED',
        facts: { why: expect.stringMatching(/tokens file .* line 1/) },
      })
      expect(refused.message).not.toContain('tokens file')
    }
  })

  test('that is read anew for each request: what becomes of it counts at once', async () => {
    const path = join(scratch, 'changing')
    const access = accessOf(ROLES, path)
    const isRefused = async (): Promise<boolean> =>
      (await ask(access, BACKUP, { token: 'for-one', channel: { address: '203.0.113.1' } }).then(
        () => 'granted',
        (error: BackupError) => error.code,
      )) !== 'granted'

    const missing = await isRefused()
    const entry = { role: 'one', createdMs: NOW, expiresMs: undefined, revokedMs: undefined }
    await addToken(path, { ...entry, name: 'a', hash: hashOf('token for-one') })
    const added = await isRefused()
    chmodSync(path, 0o666)
    const lax = await isRefused()
    chmodSync(path, 0o600)

    expect([missing, added, lax, await isRefused()]).toEqual([true, false, true, false])
  })

  test('is not asked for where there is none', async () => {
    const access = accessOf(ROLES, join(scratch, 'nowhere'))

    expect((await ask(access, BACKUP)).caller).toEqual({ role: 'near' })
    expect((await refusal(ask(access, BACKUP, { token: 'for-one' }))).code).toBe('AGENT_ACCESS_DENIED')
  })
})

describe('a role allows', () => {
  const one = (role: Role): Access => accessOf({ one: role })
  const by = { token: 'for-one' } as const

  test.each<[string, Role, Readonly<Record<string, string>>]>([
    ['everything, when it says nothing', {}, { ...BACKUP, instance: 'crm', [OPTIONS]: 'slow' }],
    ['an action that it lists', { actions: ['cancel'] }, { action: 'cancel', sid: 'a' }],
    ['a server that it lists', { instances: ['shop'] }, { ...BACKUP, instance: 'shop' }],
    ['a server by its socket', { instances: ['shop'] }, { ...BACKUP, 'xtrabackup-agent:socket': '/run/shop.sock' }],
    ['the server without a name', { instances: ['@main'] }, BACKUP],
    ['a set of options', { optionSets: ['replica'] }, { ...BACKUP, [OPTIONS]: 'replica' }],
    ['a set by the words for it', { optionSets: ['replica'] }, { ...BACKUP, [OPTIONS]: '--slave-info' }],
    ['no options, whatever it lists', { optionSets: [] }, { ...BACKUP, [OPTIONS]: ' ' }],
    [
      'the other requests of a run, which mean no server',
      { instances: ['shop'] },
      { ...BACKUP, file: 'my.cnf', instance: 'crm' },
    ],
    [
      'binary logs, for which options mean nothing',
      { optionSets: [] },
      { ...BACKUP, 'backup-level': '1', [OPTIONS]: 'slow' },
    ],
  ])('%s', async (_, role, pairs) => {
    await expect(ask(one(role), pairs, by)).resolves.toMatchObject({ caller: { role: 'one' } })
  })

  test.each<[string, Role, Readonly<Record<string, string>>, string]>([
    [
      'an action that it does not list',
      { actions: ['backup', 'status'] },
      { action: 'monitor' },
      'the role one does not allow monitor; it allows backup, status',
    ],
    ['a server that it does not list', { instances: ['shop'] }, { ...BACKUP, instance: 'crm' }, SERVER],
    ['a server that is not there', { instances: ['shop'] }, { ...BACKUP, instance: 'nowhere' }, SERVER],
    [
      'a server by its socket',
      { instances: ['shop'] },
      { ...BACKUP, 'xtrabackup-agent:socket': '/run/crm.sock' },
      SERVER,
    ],
    ['a socket of nobody', { instances: ['shop'] }, { ...BACKUP, 'xtrabackup-agent:socket': '/run/x.sock' }, SERVER],
    ['the server without a name', { instances: ['shop'] }, BACKUP, SERVER],
    ['binary logs of it', { instances: ['shop'] }, { ...BACKUP, 'backup-level': '1' }, SERVER],
    [
      'a named server',
      { instances: ['@main'] },
      { ...BACKUP, instance: 'shop' },
      'the role one does not allow this server; it allows the server without a name',
    ],
    ['a set of options', { optionSets: ['replica'] }, { ...BACKUP, [OPTIONS]: 'slow' }, SET],
    ['a set that is not there', { optionSets: ['replica'] }, { ...BACKUP, [OPTIONS]: '--tmpdir=/etc' }, SET],
    [
      'any set',
      { optionSets: [] },
      { ...BACKUP, [OPTIONS]: 'slow' },
      'the role one does not allow these options (xtrabackup-agent:innobackupex-opts); it allows none',
    ],
  ])('not %s, and says what it does', async (_, role, pairs, told) => {
    const { code, message, hint } = await refusal(ask(one(role), pairs, by))

    expect([code, `${message}; ${hint}`]).toEqual(['AGENT_ACCESS_ROLE', told])
  })

  test('to hear of its own servers alone', async () => {
    const { sees } = await ask(one({ instances: ['shop', '@main'] }), { action: 'status' }, by)

    expect(['shop', undefined, 'crm', 'gone'].map((name) => sees(name))).toEqual([true, true, false, false])
  })
})

/**
 * The same rules, said as plainly as can be: a table of what contains what, and every condition in one line. It shares
 * nothing with the agent.
 */
const CONTAINS: Readonly<Record<string, readonly string[]>> = {
  '192.0.2.0/24': ['192.0.2.7', '::ffff:192.0.2.7'],
  '192.0.2.7': ['192.0.2.7', '::ffff:192.0.2.7'],
  '0.0.0.0/0': ['192.0.2.7', '::ffff:192.0.2.7', '203.0.113.1'],
  '2001:db8::/32': ['2001:db8::5'],
  '::/0': ['2001:db8::5'],
}
const PREFIX: Readonly<Record<string, number>> = {
  '192.0.2.0/24': 24,
  '192.0.2.7': 32,
  '0.0.0.0/0': 0,
  '2001:db8::/32': 32,
  '::/0': 0,
}
const ADDRESSES = ['192.0.2.7', '::ffff:192.0.2.7', '203.0.113.1', '2001:db8::5', '']
const NAMES = ['a.example.org', 'b.x.example.org', 'c.b.x.example.org', '*.x.example.org']

interface Case {
  readonly roles: Readonly<Record<string, Role>>
  readonly token: TokenName | 'nobody knows' | undefined
  readonly address: string
  readonly names: readonly string[]
  readonly action: string
  readonly instance: string | undefined
  readonly options: string | undefined
}

const oracle = ({ roles, token, address, names, action, instance: server, options }: Case): boolean => {
  const inside = (role: Role): boolean => (role.addresses ?? []).some((network) => CONTAINS[network]?.includes(address))
  let name: string | undefined
  if (token !== undefined) {
    const isGood = token === 'for-one' || token === 'for-two' || token === 'for-one-until-tomorrow'
    if (!isGood) return false
    name = TOKENS[token].role
  } else {
    const withName = (pattern: string) => Object.keys(roles).find((one) => roles[one]?.certificates?.includes(pattern))
    for (const own of names) if (!own.startsWith('*')) name ??= withName(own)
    if (names.includes('b.x.example.org')) name ??= withName('*.x.example.org')
    if (names.includes('c.b.x.example.org')) name ??= withName('*.b.x.example.org')
    const nearest = Object.entries(roles)
      .filter(([, role]) => role.withoutToken === true)
      .flatMap(([one, role]) => (role.addresses ?? []).map((network) => ({ one, network })))
      .filter(({ network }) => CONTAINS[network]?.includes(address))
      .sort((x, y) => (PREFIX[y.network] ?? 0) - (PREFIX[x.network] ?? 0))[0]
    name ??= nearest?.one
  }
  const role = name === undefined ? undefined : roles[name]
  if (role === undefined) return false
  if (role.addresses !== undefined && !inside(role)) return false
  const called = action === 'copy from' ? 'backup' : action
  if (role.actions !== undefined && !(role.actions as readonly string[]).includes(called)) return false
  if (called !== 'backup') return true
  if (role.instances !== undefined && !role.instances.includes(server ?? '@main')) return false
  const set = options === '--slave-info' ? 'replica' : options
  return set === undefined || role.optionSets === undefined || role.optionSets.includes(set)
}

const some = <Value>(values: readonly Value[]) => fc.option(fc.subarray([...values]), { nil: undefined })
const roleArbitrary = fc.record({
  actions: some(ROLE_ACTIONS),
  instances: some(['shop', 'crm', '@main']),
  optionSets: some(['replica', 'slow']),
  addresses: some(Object.keys(CONTAINS)),
  withoutToken: fc.boolean(),
})
const PATTERNS = ['a.example.org', 'b.x.example.org', '*.x.example.org', '*.b.x.example.org']
/** A name gives one role, as the configuration has been checked; so does a network without a token. */
const rolesArbitrary = fc
  .tuple(roleArbitrary, roleArbitrary, fc.array(fc.constantFrom('one', 'two', 'none'), { minLength: 4, maxLength: 4 }))
  .map(([one, two, owners]): Readonly<Record<string, Role>> => {
    const own = (role: string): string[] => PATTERNS.filter((_, at) => owners[at] === role)
    const taken = one.withoutToken ? (one.addresses ?? []) : []
    const rest = two.withoutToken ? two.addresses?.filter((network) => !taken.includes(network)) : two.addresses
    return {
      one: { ...one, certificates: own('one') },
      two: { ...two, addresses: rest, certificates: own('two') },
    }
  })
const caseArbitrary: fc.Arbitrary<Case> = fc.record({
  roles: rolesArbitrary,
  token: fc.option(fc.constantFrom(...(Object.keys(TOKENS) as TokenName[]), 'nobody knows' as const), {
    nil: undefined,
    freq: 2,
  }),
  address: fc.constantFrom(...ADDRESSES),
  names: fc.subarray(NAMES),
  action: fc.constantFrom('copy from', 'copy from', 'status', 'monitor', 'cancel', 'verdict'),
  instance: fc.option(fc.constantFrom('shop', 'crm'), { nil: undefined }),
  options: fc.option(fc.constantFrom('replica', 'slow', '--slave-info'), { nil: undefined, freq: 1 }),
})

test('whatever roles, callers and requests there are: what is granted is what the plain rules grant', async () => {
  let granted = 0
  await fc.assert(
    fc.asyncProperty(caseArbitrary, async (one) => {
      const { roles, token, address, names, action, instance: server, options } = one
      const pairs = {
        action,
        sid: 'a',
        ...(server === undefined ? {} : { instance: server }),
        ...(options === undefined ? {} : { [OPTIONS]: options }),
      }
      const asked = ask(accessOf(roles), pairs, { token, channel: { address, certificateNames: names } })
      const isGranted = await asked.then(
        () => true,
        (error: BackupError) => {
          expect(error.code).toMatch(/^AGENT_ACCESS_(?:DENIED|ROLE)$/)
          return false
        },
      )
      if (isGranted) granted += 1
      expect(isGranted).toBe(oracle(one))
    }),
    { numRuns: 1500 },
  )
  expect(granted).toBeGreaterThan(100)
})
