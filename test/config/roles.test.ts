import { afterAll, describe, expect, test } from '@jest/globals'

import { settingsOf } from '../../lib/config/index.ts'
import { ConfigurationDirectory, mistakesOf, read } from './configurations.ts'

const directory = new ConfigurationDirectory()
afterAll(() => directory.remove())

/** Certificates of clients are verified. */
const TLS = ['tls-cert', 'tls-key', 'tls-client-ca'].map((key) => `${key} = "/srv/${key}"\n`).join('')

const TOP = `
[instance.shop]
socket = "/run/shop.sock"
[options.replica]
args = ["--slave-info"]
`

describe('a role', () => {
  test('reaches the agent as it stands in the file', async () => {
    const file = directory.file(`${TLS}tokens-file = "/srv/tokens"
${TOP}
[role.nightly]
actions = ["backup", "verdict"]
instances = ["shop"]
option-sets = ["replica"]
addresses = ["192.0.2.0/24", "2001:db8::1"]
certificates = ["backup1.example.org", "*.backup.example.org", "Backup Host 1"]
without-token = true
[role.ops]
`)

    const settings = settingsOf(await read({ file }))

    expect(settings.tokensFile).toBe('/srv/tokens')
    expect(settings.roles).toEqual({
      nightly: {
        actions: ['backup', 'verdict'],
        instances: ['shop'],
        optionSets: ['replica'],
        addresses: ['192.0.2.0/24', '2001:db8::1'],
        certificates: ['backup1.example.org', '*.backup.example.org', 'Backup Host 1'],
        withoutToken: true,
      },
      ops: { withoutToken: false },
    })
  })

  test.each([
    [
      'actions = ["backups"]',
      /actions: there is no action "backups" \(there is backup, status, .*; did you mean backup\?$/,
    ],
    ['instances = ["shob"]', /instances: there is no instance "shob" \(there is shop\); did you mean shop\?$/],
    ['instances = ["@main"]', /instances: there is no instance "@main" \(there is shop\)$/],
    [
      'option-sets = ["replicas"]',
      /there is no set of options "replicas" \(there is replica\); did you mean replica\?$/,
    ],
    ['actions = []', /actions: expected at least one entry; leave it out for all$/],
    ['instances = []', /instances: expected at least one entry/],
    ['addresses = []', /addresses: expected at least one entry/],
    ['actions = "backup"', /actions: expected a list, as in \["backup", "status"\]$/],
    ['addresses = ["backup1"]', /addresses: expected numeric addresses, as in/],
    ['addresses = ["192.0.2.1/24"]', /addresses: expected the first address of a network/],
    ['certificates = ["*"]', /certificates: expected names of certificates/],
    ['certificates = ["*.org"]', /certificates: expected names of certificates/],
    ['certificates = ["a.*.example.org"]', /certificates: expected names of certificates/],
    ['certificates = ["*x.example.org"]', /certificates: expected names of certificates/],
    ['certificates = ["a.example.org"]', /certificates: the agent verifies none of clients; it needs tls-client-ca$/],
    ['without-token = true', /without-token: expected addresses beside it/],
    ['without-token = "yes"', /without-token: expected true or false, without quotes$/],
    ['action = ["backup"]', /unknown key of \[role\.nightly\], action; did you mean actions\?$/],
  ])('with %s is a mistake that says what was meant', async (line, message) => {
    const file = directory.file(`${TOP}[role.nightly]\n${line}\n`)

    const [only, ...others] = await mistakesOf({ file })

    expect(only).toMatch(message)
    expect(only).toContain(`${file}:7:1: `)
    expect(others).toEqual([])
  })

  test('may name the server without a name where there is one', async () => {
    expect(await mistakesOf({ file: directory.file('[role.a]\ninstances = ["@main"]\n') })).toEqual([])
    const both = `socket = "/run/main.sock"\n${TOP}[role.a]\ninstances = ["@main", "shop"]\n`
    expect(await mistakesOf({ file: directory.file(both) })).toEqual([])
  })

  test('may allow no set of options at all', async () => {
    const file = directory.file(`${TOP}[role.nightly]\noption-sets = []\n`)

    expect(settingsOf(await read({ file })).roles?.['nightly']?.optionSets).toEqual([])
  })

  test.each([
    ['certificates = ["a.example.org"]', /certificates: "a\.example\.org" gives \[role\.one\] already$/],
    ['certificates = ["*.example.org"]', /certificates: "\*\.example\.org" gives \[role\.one\] already$/],
    [
      'addresses = ["::ffff:192.0.2.0/120"]\nwithout-token = true',
      /addresses: one of these networks gives \[role\.one\] already$/,
    ],
  ])('that shares %s with another is a mistake: by one name, one role', async (lines, message) => {
    const one = 'certificates = ["a.example.org", "*.example.org"]\naddresses = ["192.0.2.0/24"]\nwithout-token = true'
    const file = directory.file(`${TLS}[role.one]\n${one}\n[role.two]\n${lines}\n`)

    expect(await mistakesOf({ file })).toEqual([expect.stringMatching(message)])
  })

  test('is missed where somebody has said where the tokens are', async () => {
    const file = directory.file('tokens-file = "/srv/tokens"\n')

    expect(await mistakesOf({ file })).toEqual([
      `${file}:1:1: tokens-file: there is no [role.NAME] that a token could give, and without roles everybody may ask`,
    ])
  })

  test.each(['constructor', 'Nightly', '"a b"'])('cannot be called %s', async (name) => {
    expect(await mistakesOf({ file: directory.file(`[role.${name}]\n`) })).toEqual([
      expect.stringMatching(/expected a name of 1 to 32/),
    ])
  })
})
