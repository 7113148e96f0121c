/**
 * The small files that a backup program writes beside the data, and what they say.
 *
 *     xtrabackup_checkpoints     kind, LSNs: from, to, last      written at the end
 *     xtrabackup_info            which program, which versions   written at the end
 *     xtrabackup_binlog_info     FILE tab POSITION tab GTID      only with the binary log on
 *     backup-my.cnf              the server options that matter  written at the end
 *     ib_logfile0                the redo log                    closed at the end
 *
 * MariaDB 11 calls the first three `mariadb_backup_*`; Percona calls the last one `xtrabackup_logfile`. Both families
 * are read alike, whatever the mark says. The parsers take what they understand and leave out the rest: what a backup
 * must have is decided in `archive-proof.ts`, by the names alone.
 *
 * Pure. Measured on mariadb-backup 10.11.19; the other names are from the programs' documents.
 */

import type { MetadataFound } from './types.ts'

/** What a file at the top of a backup is for. The last three may be there or not. */
export type MetadataRole = keyof MetadataFound | 'binlogInfo' | 'slaveInfo' | 'galeraInfo'

const ROLES: ReadonlyMap<string, MetadataRole> = new Map<string, MetadataRole>([
  ['backup-my.cnf', 'configuration'],
  ['ib_logfile0', 'redoLog'],
  ['xtrabackup_logfile', 'redoLog'],
  ...(['xtrabackup', 'mariadb_backup'] as const).flatMap((family): [string, MetadataRole][] => [
    [`${family}_checkpoints`, 'checkpoints'],
    [`${family}_info`, 'info'],
    [`${family}_binlog_info`, 'binlogInfo'],
    [`${family}_slave_info`, 'slaveInfo'],
    [`${family}_galera_info`, 'galeraInfo'],
  ]),
])

/** Without these a backup cannot be prepared; in the order in which a missing one is named. */
const NEEDED = [
  ['checkpoints', '"xtrabackup_checkpoints" or "mariadb_backup_checkpoints"'],
  ['info', '"xtrabackup_info" or "mariadb_backup_info"'],
  ['configuration', '"backup-my.cnf"'],
  ['redoLog', '"ib_logfile0" or "xtrabackup_logfile"'],
] as const satisfies readonly (readonly [keyof MetadataFound, string])[]

/** @returns undefined for a file that is no metadata, as every file below the top is */
export const metadataRole = (path: string): MetadataRole | undefined => ROLES.get(path)

/** @returns the names of the first file that has to be there and is not, quoted for a message */
export const firstMissing = (found: MetadataFound): string | undefined =>
  NEEDED.find(([role]) => found[role] === undefined)?.[1]

/** Where in the binary log the backup stands. All absent when the server wrote none. */
export interface Coordinates {
  readonly binlogFile?: string
  readonly binlogPosition?: number
  /** MariaDB: `0-1-7`; MySQL: a set such as `3E11FA47-…:1-5,4F22…:1-9`. */
  readonly gtid?: string
}

/** Log sequence numbers as digits: they are 64 bits wide. The next incremental starts at `to`. */
export interface LogSequenceNumbers {
  readonly from?: string
  readonly to?: string
  readonly last?: string
}

/** What `*_checkpoints` says, as far as it was understood. */
export interface Checkpoints {
  /**
   * As it stands there: `full-backuped`, `incremental`; after a preparation `full-prepared` or `log-applied`. Absent when
   * it does not say.
   */
  readonly backupType?: string
  readonly lsn: LogSequenceNumbers
}

/** What `*_info` says about the run. */
export interface BackupInfo {
  /** `mariadb-backup` or `xtrabackup`; another program's own name as it stands. */
  readonly engine?: string
  readonly engineVersion?: string
  readonly serverVersion?: string
  readonly coordinates: Coordinates
}

/** 64 bits are at most 20 digits. */
const LSN = /^[0-9]{1,20}$/

/** Reads `*_checkpoints`. */
export const parseCheckpoints = (text: string): LogSequenceNumbers => {
  const values = assignments(text)
  const lsn = (key: string): string | undefined => {
    const value = values.get(key)
    return value !== undefined && LSN.test(value) ? value : undefined
  }
  return present({ from: lsn('from_lsn'), to: lsn('to_lsn'), last: lsn('last_lsn') })
}

/** Reads from `*_checkpoints` what kind of backup it is. */
export const parseBackupType = (text: string): string | undefined => {
  const type = assignments(text).get('backup_type')
  return type !== undefined && /^[a-z-]{1,32}$/.test(type) ? type : undefined
}

/**
 * Reads `*_binlog_info`.
 *
 * Shape: FILE, a tab, POSITION, and if the server has GTIDs another tab and the GTID. MySQL breaks a long set of GTIDs
 * into lines after its commas; they are joined again.
 */
export const parseBinlogInfo = (text: string): Coordinates => {
  const [file = '', position = '', gtid = ''] =
    text
      .replace(/,\s*\n/g, ',')
      .split('\n', 1)[0]
      ?.trimEnd()
      .split('\t') ?? []
  return coordinates(file, position, gtid)
}

/**
 * Reads `*_info`.
 *
 * The line `binlog_pos` of it repeats `*_binlog_info`; it is read for archives in which that file is missing.
 */
export const parseInfo = (text: string): BackupInfo => {
  const values = assignments(text)
  const position = /filename '([^']*)', position '([^']*)'(?:, GTID of the last change '([^']*)')?/.exec(
    values.get('binlog_pos') ?? '',
  )
  return {
    ...present({
      engine: engineOf(values.get('tool_name')),
      engineVersion: values.get('tool_version'),
      serverVersion: values.get('server_version'),
    }),
    coordinates: coordinates(position?.[1] ?? '', position?.[2] ?? '', position?.[3] ?? ''),
  }
}

/** `mariabackup` is the same program under its old name; `innobackupex` is an old way of starting xtrabackup. */
const ENGINE_OF_TOOL: ReadonlyMap<string, string> = new Map([
  ['mariabackup', 'mariadb-backup'],
  ['mariadb-backup', 'mariadb-backup'],
  ['innobackupex', 'xtrabackup'],
  ['xtrabackup', 'xtrabackup'],
])

/** The program may have been started by its path: only the last part of that is its name. */
const engineOf = (tool: string | undefined): string | undefined => {
  const name = tool?.slice(tool.lastIndexOf('/') + 1)
  return name === undefined ? undefined : (ENGINE_OF_TOOL.get(name) ?? name)
}

/** Lines `key = value`. A set of GTIDs goes on over the following lines, which have no key of their own. */
const assignments = (text: string): ReadonlyMap<string, string> => {
  const values = new Map<string, string>()
  for (const line of text.replace(/,\s*\n/g, ',').split('\n')) {
    const match = /^([a-z_]+) = ?(.*)$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined && match[2] !== '') values.set(match[1], match[2].trimEnd())
  }
  return values
}

const coordinates = (file: string, position: string, gtid: string): Coordinates => {
  const known = file !== '' && /^[0-9]{1,15}$/.test(position)
  return present({
    binlogFile: known ? file : undefined,
    binlogPosition: known ? Number(position) : undefined,
    gtid: gtid === '' ? undefined : gtid,
  })
}

/** Drops what is not there: a key that is absent says more than one that holds undefined. */
const present = <Values extends Record<string, string | number | undefined>>(
  values: Values,
): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Values]?: Exclude<Values[Key], undefined>
  }
