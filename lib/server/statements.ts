/**
 * Every statement that the agent ever runs against a server, and why.
 *
 * There are no others: a connection takes the name of a statement, never a text, and its
 * driver sends nothing of its own. README shows this table; a test compares the two, and
 * another one compares it with what a server's general log has seen.
 *
 * A question mark stands for a whole number. Nothing that a client has sent ever becomes
 * part of a statement. What the backup programs run by themselves is theirs.
 */

export interface Statement {
  readonly sql: string
  /** One clause for operators. */
  readonly why: string
}

const statements = <Name extends string>(table: Record<Name, Statement>): Readonly<Record<Name, Statement>> =>
  Object.freeze(table)

/** Names of variables are quoted here and nowhere else. */
const FACTS = [
  'version',
  'version_comment',
  'hostname',
  'datadir',
  'log_bin',
  'log_bin_basename',
  'binlog_format',
  'server_uid',
  'server_uuid',
  'wait_timeout',
  'net_read_timeout',
  'net_write_timeout',
]
const LSN = ['Innodb_lsn_current', 'Innodb_redo_log_current_lsn']

const list = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ')

export const STATEMENTS = statements({
  facts: {
    sql: `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${list(FACTS)})`,
    why: 'which server it is, where its data and binary logs are, which timeouts it has',
  },
  lsn: {
    sql: `SHOW GLOBAL STATUS WHERE Variable_name IN (${list(LSN)})`,
    why: 'how far the redo log is, for incremental backups of the data',
  },
  account: {
    sql: 'SELECT CURRENT_USER()',
    why: 'the account that a missing grant must be given to',
  },
  grants: {
    sql: 'SHOW GRANTS',
    why: 'whether a grant is missing, before the backup starts',
  },
  binaryLogs: {
    sql: 'SHOW BINARY LOGS',
    why: 'for an incremental backup: which binary logs there are; the last one is being written',
  },
  allReplicaStatus: {
    sql: 'SHOW ALL SLAVES STATUS',
    why: 'with `replication=1`, MariaDB: the columns that a client stores, and whether a replica is to be started',
  },
  replicaStatus: {
    sql: 'SHOW REPLICA STATUS',
    why: 'the same, MySQL 8.0.22 and later',
  },
  slaveStatus: {
    sql: 'SHOW SLAVE STATUS',
    why: 'the same, older MySQL',
  },
  startSlave: {
    sql: 'START SLAVE',
    why: 'with `replication=1`: starts a replica again that the client has stopped; MariaDB, and older MySQL',
  },
  startAllSlaves: {
    sql: 'START ALL SLAVES',
    why: 'the same, for a MariaDB replica with named connections',
  },
  startReplica: {
    sql: 'START REPLICA',
    why: 'the same, MySQL 8.0.22 and later',
  },
  setGlobalWait: {
    sql: 'SET GLOBAL wait_timeout = ?',
    why: '`mysql-wait-timeout`: while a backup runs, and back to what it was',
  },
  setGlobalNetRead: {
    sql: 'SET GLOBAL net_read_timeout = ?',
    why: '`mysql-net-timeout`: the same',
  },
  setGlobalNetWrite: {
    sql: 'SET GLOBAL net_write_timeout = ?',
    why: '`mysql-net-timeout`: the same',
  },
})

export type StatementName = keyof typeof STATEMENTS
