import { describe, expect, test } from '@jest/globals'

import { MAX_SHOWN_LENGTH, REDACTED, redactor } from '../../lib/engines/redaction.ts'
import { ODD_PASSWORDS } from './odd-passwords.ts'
import { recorded } from './stand-ins.ts'

const HASH = '*0123456789ABCDEF0123456789ABCDEF01234567'

describe('redaction', () => {
  test.each(ODD_PASSWORDS.filter((password) => password.length >= 4))(
    'takes out the password %j in every form',
    (password) => {
      const redact = redactor(password)
      const escaped = password.replace(/["'\\]/g, '\\$&')
      const forms = [
        password,
        escaped,
        Buffer.from(password).toString('base64'),
        Buffer.from(password).toString('hex'),
        encodeURIComponent(password),
        Buffer.from(password).toString('base64url'),
        Buffer.from(password).toString('hex').toUpperCase(),
        password.replaceAll("'", "''"),
        JSON.stringify(password).slice(1, -1),
        encodeURIComponent(password).replaceAll('%20', '+'),
      ]

      for (const form of forms) expect(redact(`before ${form} after`)).toBe(`before ${REDACTED} after`)
    },
  )

  test.each([
    ['a hash in upper case', `hash ${HASH}.`, `hash ${REDACTED}.`],
    ['a hash in lower case', `hash ${HASH.toLowerCase()}.`, `hash ${REDACTED}.`],
    [
      'IDENTIFIED BY PASSWORD',
      `GRANT x TO a IDENTIFIED BY PASSWORD '${HASH}' WITH GRANT OPTION`,
      `GRANT x TO a IDENTIFIED BY ${REDACTED}`,
    ],
    ['identified by', "create user a identified  by 'x'", `create user a identified  by ${REDACTED}`],
    [
      'IDENTIFIED VIA',
      "GRANT x TO a IDENTIFIED VIA ed25519 USING 'ZIgU+eZ' OR unix_socket",
      `GRANT x TO a IDENTIFIED VIA ${REDACTED}`,
    ],
    [
      'IDENTIFIED WITH',
      "CREATE USER a IDENTIFIED WITH 'caching_sha2_password' AS 'x'",
      `CREATE USER a IDENTIFIED WITH ${REDACTED}`,
    ],
  ])('takes out %s', (_, line, shown) => {
    expect(redactor(undefined)(line)).toBe(shown)
  })

  test('leaves no hash in the words of a real program that lacks a privilege', () => {
    const shown = recorded('no-privilege').map(redactor('pw2')).join('\n')

    expect(recorded('no-privilege').join('\n')).toContain(HASH)
    expect(shown).not.toContain(HASH.slice(1))
  })

  test('does not spell out a password too short to be one', () => {
    expect(redactor('o')('no word of it')).toBe('no word of it')
  })

  test('shows no control character', () => {
    expect(redactor(undefined)('a\u001b[31mb\u0000c\u009bd\te')).toBe('a?[31mb?c?d\te')
  })

  test('cuts last: a secret at the cut does not leave its first half', () => {
    const line = `${'x'.repeat(MAX_SHOWN_LENGTH - 3)}secret-password and so on`

    const shown = redactor('secret-password')(line)

    expect(shown).toHaveLength(MAX_SHOWN_LENGTH + 1)
    expect(shown).not.toContain('sec')
  })
})
