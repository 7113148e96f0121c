/**
 * One connection to the server, through the driver `mariadb`.
 *
 *     STATEMENTS[name] ─▶ run(name, numbers) ─▶ rows of text
 *
 * It takes names of statements and whole numbers, never a text: what may be run is one
 * table. Times are bounded, several statements in one and LOAD DATA LOCAL are off, and a
 * failure never carries the password. The driver is loaded with the first connection, so
 * that an agent that never asks does not pay for it.
 */

import type { Connection as Driver, ConnectionConfig, SqlError } from 'mariadb'

import { BackupError } from '../errors/index.ts'
import type { ResolvedLogin } from './read-login.ts'
import { STATEMENTS, type StatementName } from './statements.ts'
import type { ServerOptions } from './types.ts'

/** A row, in the order of the columns; NULL is an empty text. */
export type Row = ReadonlyMap<string, string>

const CONNECT_MS = 10_000
/** SHOW SLAVE STATUS can wait for a thread that stops; the rest takes milliseconds. */
const QUERY_MS = 30_000

/** What a server answers to a login that it refuses. Source: MariaDB error codes. */
const REFUSED_LOGIN: ReadonlySet<number> = new Set([1044, 1045, 1130, 1251, 1275, 1396, 1524, 1698, 3118, 4151])
const DENIED: ReadonlySet<number> = new Set([1142, 1227, 1370])
/** The driver's own words: it does not know how this account logs in, or may not send the password so. */
const UNKNOWN_LOGIN: ReadonlySet<string> = new Set([
  'ER_AUTHENTICATION_PLUGIN_NOT_SUPPORTED',
  'ER_NOT_SUPPORTED_AUTH_PLUGIN',
  'ER_CANNOT_RETRIEVE_RSA_KEY',
])

export class Connection {
  readonly #driver: Driver
  readonly #queryMs: number

  private constructor(driver: Driver, queryMs: number) {
    this.#driver = driver
    this.#queryMs = queryMs
  }

  /** @throws BackupError `SERVER_UNREACHABLE`, `SERVER_TIMEOUT`, `ENGINE_LOGIN` */
  static async open(login: ResolvedLogin, options: ServerOptions = {}): Promise<Connection> {
    const { connectMs = CONNECT_MS, queryMs = QUERY_MS } = options
    const { createConnection } = await import('mariadb')
    const config: ConnectionConfig = {
      socketPath: login.socket,
      user: login.user,
      password: login.password,
      connectTimeout: connectMs,
      // Of a socket on which nothing comes: connections here are short, and never wait between two questions.
      socketTimeout: queryMs,
      // Said in the handshake: another one would make the driver run SET NAMES.
      collation: 'UTF8MB4_GENERAL_CI',
      multipleStatements: false,
      permitLocalInfile: false,
      // A failed statement is in our table; its values are never secrets, but a log is no place for them.
      logParam: false,
      // Every value as the text that the server sent.
      typeCast: (column) => column.string() ?? '',
      connectAttributes: false,
    }
    try {
      const driver = await createConnection(config)
      driver.on('error', () => undefined) // whoever asks next is told
      return new Connection(driver, queryMs)
    } catch (error) {
      throw connectFailure(error, login, connectMs)
    }
  }

  /** @throws BackupError `SERVER_QUERY`, `SERVER_TIMEOUT`, `ENGINE_PRIVILEGE` when the account may not */
  async run(name: StatementName, numbers: readonly number[] = []): Promise<Row[]> {
    const { sql } = STATEMENTS[name]
    if (!numbers.every(Number.isSafeInteger)) throw new Error(`bug: a statement takes whole numbers`)
    try {
      const rows: unknown = await this.#driver.query(sql, [...numbers])
      return Array.isArray(rows) ? rows.map(rowOf) : []
    } catch (error) {
      throw queryFailure(error, sql, this.#queryMs)
    }
  }

  /** Never throws. */
  async close(): Promise<void> {
    await this.#driver.end().catch(() => undefined)
  }
}

const rowOf = (row: object): Row => new Map(Object.entries(row).map(([name, value]) => [name, String(value)]))

const connectFailure = (error: unknown, { socket, user }: ResolvedLogin, connectMs: number): BackupError => {
  const { errno, code, sqlMessage } = wordsOf(error)
  if (REFUSED_LOGIN.has(errno)) {
    return new BackupError(
      'ENGINE_LOGIN',
      `the database refused the login: ${said(sqlMessage)}`,
      { user, errno },
      {
        hint: 'check user and password on the database host, and that the account may connect from localhost',
      },
    )
  }
  if (UNKNOWN_LOGIN.has(code)) {
    return new BackupError('SERVER_UNREACHABLE', `the account ${user} logs in in a way the agent does not know`, {
      user,
      reason: code,
      isLogin: true, // whoever tells a client of it says no more than that it was refused
    })
  }
  if (code === 'ER_CONNECTION_TIMEOUT' || code === 'ER_SOCKET_TIMEOUT') {
    return new BackupError(
      'SERVER_TIMEOUT',
      `the server at ${socket} took no connection within ${connectMs / 1000} s`,
      {
        socket,
      },
    )
  }
  return new BackupError(
    'SERVER_UNREACHABLE',
    `the server at ${socket} cannot be reached: ${code}`,
    { socket, reason: code },
    { hint: 'check that the server runs, and give its socket with --socket' },
  )
}

const queryFailure = (error: unknown, sql: string, queryMs: number): BackupError => {
  const { errno, code, sqlMessage } = wordsOf(error)
  const facts = { statement: sql, errno, reason: code }
  if (DENIED.has(errno)) return new BackupError('ENGINE_PRIVILEGE', `${sql}: ${said(sqlMessage)}`, facts)
  if (code === 'ER_SOCKET_TIMEOUT') {
    return new BackupError('SERVER_TIMEOUT', `the server did not answer ${sql} within ${queryMs / 1000} s`, facts)
  }
  return new BackupError('SERVER_QUERY', `the server did not answer ${sql}: ${said(sqlMessage) || code}`, facts)
}

/** The server's own words, as a message may carry them: one line, no full stop. */
const said = (sqlMessage: string): string => sqlMessage.replace(/\s+/g, ' ').trim().slice(0, 300).replace(/\.$/, '')

const wordsOf = (error: unknown): { errno: number; code: string; sqlMessage: string } => {
  const { errno, code, sqlMessage } = error as Partial<SqlError>
  return { errno: errno ?? 0, code: code ?? 'unknown error', sqlMessage: sqlMessage ?? '' }
}
