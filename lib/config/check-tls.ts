/**
 * Checks that what is said about TLS is said in full: half of it would be no TLS, or let anybody in.
 *
 * What the files hold is looked at by whoever reads them. Pure.
 */

import type { Configuration } from './read-configuration.ts'
import type { SettingKey } from './schema.ts'
import type { FileMistake } from './schema-check.ts'

export const findTlsMistakes = ({ settings }: Configuration): FileMistake[] => {
  const says = (key: SettingKey): boolean => settings[key].value !== undefined
  const mistakes: FileMistake[] = []
  const needs = (key: SettingKey, other: SettingKey, why: string): void => {
    if (says(key) && !says(other)) mistakes.push({ path: [key], message: `${key} needs ${other} beside it: ${why}` })
  }
  needs('tls-cert', 'tls-key', 'a certificate is of no use without its key')
  needs('tls-key', 'tls-cert', 'clients are shown the certificate that belongs to the key')
  needs('tls-client-ca', 'tls-cert', 'only an agent that speaks TLS asks for certificates')
  const clients = settings['tls-clients'].value
  if (clients !== undefined && clients !== 'none') {
    needs('tls-clients', 'tls-client-ca', 'somebody must say whose certificates are trusted')
  }
  return mistakes
}
