/**
 * Makes facts of what the server says about its variables. Pure.
 *
 * A variable that a version does not have is just not in its answer.
 */

import { dirname } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { parseServerVersion } from './server-version.ts'
import type { ServerFacts, ServerVersion } from './types.ts'

type Variables = ReadonlyMap<string, string>

/** @throws BackupError `SERVER_QUERY` when something is missing that every server has */
export const readFacts = (variables: Variables, status: Variables): ServerFacts & { parsed: ServerVersion } => {
  const get = (name: string): string => {
    const value = variables.get(name)
    if (value === undefined) throw new BackupError('SERVER_QUERY', `the server does not say its variable ${name}`)
    return value
  }
  const parsed = parseServerVersion(get('version'), variables.get('version_comment'))
  const dataDirectory = dirname(`${get('datadir')}/.`).replace(/(?<=.)\/+$/, '')
  const seconds = (name: string): number => Number(get(name))
  return {
    parsed,
    version: `${parsed.major}.${parsed.minor}.${parsed.patch}`,
    versionText: parsed.text,
    isMariaDb: parsed.isMariaDb,
    dataDirectory,
    logBin: /^(on|1)$/i.test(get('log_bin')),
    binlogBasename: variables.get('log_bin_basename') || undefined,
    binlogFormat: variables.get('binlog_format') || undefined,
    serverUuid: identityOf(variables, dataDirectory),
    lsn: [...status.values()].find((value) => /^\d+$/.test(value)),
    timeouts: {
      wait: seconds('wait_timeout'),
      netRead: seconds('net_read_timeout'),
      netWrite: seconds('net_write_timeout'),
    },
  }
}

/** See `ServerFacts.serverUuid`. */
const identityOf = (variables: Variables, dataDirectory: string): string => {
  const uuid = variables.get('server_uuid')
  if (uuid) return uuid
  return `${variables.get('server_uid') || variables.get('hostname') || 'unknown host'} ${dataDirectory}`
}
