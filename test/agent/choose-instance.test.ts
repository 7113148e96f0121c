import { describe, expect, test } from '@jest/globals'

import { chooseInstance } from '../../lib/agent/choose-instance.ts'
import type { Instance, Instances } from '../../lib/agent/instance.ts'
import type { ServerSettings } from '../../lib/config/index.ts'
import type { BackupError } from '../../lib/errors/index.ts'

/** Only the name and the paths decide. */
const instance = (name: string | undefined, settings: Partial<ServerSettings>): Instance =>
  ({ name, settings }) as Instance

const instances = (
  main: Partial<ServerSettings> | undefined,
  named: Record<string, Partial<ServerSettings>>,
): Instances => {
  const all = Object.entries(named).map(([name, settings]) => [name, instance(name, settings)] as const)
  const top = main === undefined ? undefined : instance(undefined, main)
  return { main: top, named: new Map(all), first: top ?? (all[0]?.[1] as Instance) }
}

const SHOP = { socket: '/run/shop.sock', defaultsFile: '/etc/mysql/shop.cnf', knownAs: ['/var/lib/shop/mysql.sock'] }
const CRM = { socket: '/run/crm.sock', defaultsFile: '/etc/mysql/both.cnf' }
const LEDGER = { socket: '/run/ledger.sock', defaultsFile: '/etc/mysql/both.cnf' }
const TOP = { socket: '/run/mysqld/mysqld.sock', defaultsFile: '/etc/mysql/my.cnf' }

const SEVERAL = instances(TOP, { shop: SHOP, crm: CRM, ledger: LEDGER })
const NAMED_ONLY = instances(undefined, { shop: SHOP, crm: CRM })
const ALONE = instances({}, {})
const ALONE_WITH_SOCKET = instances(TOP, {})

const choose = (pairs: Readonly<Record<string, string>>, among: Instances): string | undefined =>
  chooseInstance(new Map(Object.entries(pairs)), among).name

const SOCKET = 'xtrabackup-agent:socket'
const OPTION_FILE = 'xtrabackup-agent:my.cnf-path'

describe('a request gets', () => {
  test.each<[string, Instances, Readonly<Record<string, string>>, string | undefined]>([
    [
      'the one server there is, whatever paths it sends',
      ALONE,
      { [SOCKET]: '/var/lib/mysql/mysql.sock', [OPTION_FILE]: '/etc/my.cnf' },
      undefined,
    ],
    [
      'the one server there is, also where its own socket is another',
      ALONE_WITH_SOCKET,
      { [SOCKET]: '/var/lib/mysql/mysql.sock' },
      undefined,
    ],
    ['the server without a name, when it names none', SEVERAL, {}, undefined],
    [
      'the server without a name, when all it names is empty',
      SEVERAL,
      { instance: '', [SOCKET]: '', [OPTION_FILE]: '' },
      undefined,
    ],
    ['the server without a name, by its socket', SEVERAL, { [SOCKET]: '/run/mysqld/mysqld.sock' }, undefined],
    ['an instance by its name', SEVERAL, { instance: 'shop' }, 'shop'],
    ['an instance by its socket', SEVERAL, { [SOCKET]: '/run/crm.sock' }, 'crm'],
    ['an instance by another path that it is known as', SEVERAL, { [SOCKET]: '/var/lib/shop/mysql.sock' }, 'shop'],
    ['an instance by its option file', SEVERAL, { [OPTION_FILE]: '/etc/mysql/shop.cnf' }, 'shop'],
    [
      'an instance by its socket, although its option file is the usual one',
      SEVERAL,
      { [SOCKET]: '/run/crm.sock', [OPTION_FILE]: '/etc/mysql/my.cnf' },
      'crm',
    ],
    [
      'an instance by its name, although its option file is the usual one',
      SEVERAL,
      { instance: 'crm', [OPTION_FILE]: '/etc/mysql/my.cnf' },
      'crm',
    ],
    [
      'an instance by its name, although nobody knows its socket',
      SEVERAL,
      { instance: 'crm', [SOCKET]: '/var/lib/mysql/mysql.sock' },
      'crm',
    ],
    ['an instance by its socket, where every server has a name', NAMED_ONLY, { [SOCKET]: '/run/shop.sock' }, 'shop'],
  ])('%s', (_, among, pairs, name) => {
    expect(choose(pairs, among)).toBe(name)
  })
})

describe('a request is refused, rather than given another server', () => {
  test.each<[string, Instances, Readonly<Record<string, string>>]>([
    ['with a name that is not configured', SEVERAL, { instance: 'warehouse' }],
    ['with a name, where no names are configured', ALONE, { instance: 'shop' }],
    ['with a name in other letters', SEVERAL, { instance: 'Shop' }],
    ['with a name that every object has', SEVERAL, { instance: '__proto__' }],
    ['with a socket of no configured server', SEVERAL, { [SOCKET]: '/var/lib/mysql/mysql.sock' }],
    [
      'with a socket of no configured server, and an option file of one',
      SEVERAL,
      { [SOCKET]: '/run/x.sock', [OPTION_FILE]: '/etc/mysql/shop.cnf' },
    ],
    ['with the path of a configured socket, written otherwise', SEVERAL, { [SOCKET]: '/run/../run/shop.sock' }],
    ['with an option file of no configured server', SEVERAL, { [OPTION_FILE]: '/etc/my.cnf' }],
    ['with an option file of two servers', SEVERAL, { [OPTION_FILE]: '/etc/mysql/both.cnf' }],
    ['with the option file of a server in the place of its socket', SEVERAL, { [SOCKET]: '/etc/mysql/shop.cnf' }],
    ['with the name of one server and the socket of another', SEVERAL, { instance: 'crm', [SOCKET]: '/run/shop.sock' }],
    [
      'with the name of a server and the socket of the one without',
      SEVERAL,
      { instance: 'crm', [SOCKET]: '/run/mysqld/mysqld.sock' },
    ],
    ['with nothing, where every server has a name', NAMED_ONLY, {}],
    ['with a socket of none, where every server has a name', NAMED_ONLY, { [SOCKET]: '/run/mysqld/mysqld.sock' }],
  ])('%s', (_, among, pairs) => {
    expect(() => choose(pairs, among)).toThrow(expect.objectContaining({ code: 'AGENT_INSTANCE' }))
  })

  test('in words that say how to choose and how to configure, and tell no path of this host', () => {
    let refusal: BackupError | undefined
    try {
      choose({ [SOCKET]: '/run/x.sock' }, SEVERAL)
    } catch (error) {
      refusal = error as BackupError
    }

    const said = `${refusal?.message}; ${refusal?.hint}`
    expect(said).toContain('xtrabackup-agent:socket names "/run/x.sock", which belongs to no configured server')
    expect(said).toContain(
      'instance=NAME (configured: shop, crm, ledger; without any of them it is the server that has no name)',
    )
    expect(said).toContain('[instance.NAME]')
    expect(said).toContain('known-as')
    expect(said).not.toMatch(/\/run\/(shop|crm|mysqld)|\/etc/)
  })
})
