/**
 * The questions that the agent asks a server, each with an answer that has a type.
 *
 *     const server = await connectServer({ socket, user, password })
 *     const { version, dataDirectory } = await server.facts()
 *     await server.requireGrants('binary-logs', 'for an incremental backup')
 *     const logs = await server.binaryLogs()
 *     await server.close()
 *
 * Every failure is a `BackupError`; a privilege that is missing is named with the statement
 * that gives it. What is run: `statements.ts`.
 */

import { BackupError } from '../errors/index.ts'
import { Connection } from './connection.ts'
import { type Grants, readGrants } from './grants.ts'
import { type MissingGrants, missingGrants, type Purpose, privilegeError } from './needed-grants.ts'
import { resolveLogin } from './read-login.ts'
import { readReplicaConnection } from './replica-status.ts'
import { readFacts } from './server-facts.ts'
import { isAtLeast } from './server-version.ts'
import type { StatementName } from './statements.ts'
import type { BinaryLog, ReplicaConnection, ServerFacts, ServerLogin, ServerOptions, ServerVersion } from './types.ts'

/** A global variable of the server that a client may have changed for its backup. */
export type TimeoutName = 'wait_timeout' | 'net_read_timeout' | 'net_write_timeout'

const SET_GLOBAL: Readonly<Record<TimeoutName, StatementName>> = {
  wait_timeout: 'setGlobalWait',
  net_read_timeout: 'setGlobalNetRead',
  net_write_timeout: 'setGlobalNetWrite',
}

/**
 * @throws BackupError `SERVER_UNREACHABLE`, `SERVER_TIMEOUT`, `ENGINE_LOGIN` when the server refuses it,
 *   `ENGINE_DEFAULTS_FILE`
 */
export const connectServer = async (login: ServerLogin, options: ServerOptions = {}): Promise<ServerConnection> =>
  new ServerConnection(await Connection.open(await resolveLogin(login), options))

export class ServerConnection {
  readonly #connection: Connection
  #known: (ServerFacts & { parsed: ServerVersion }) | undefined
  #grants: Grants | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Asked once; the values are those of that moment. @throws BackupError `SERVER_*` */
  async facts(): Promise<ServerFacts> {
    return this.#facts()
  }

  /** @throws BackupError `SERVER_*` */
  async grants(): Promise<Grants> {
    this.#grants ??= await this.#readGrants()
    return this.#grants
  }

  /** What the account lacks for a purpose; undefined when nothing, or when roles keep it from being told. */
  async missingGrants(purpose: Purpose): Promise<MissingGrants | undefined> {
    const { parsed: version, logBin } = await this.#facts()
    return missingGrants(await this.grants(), purpose, { version, logBin })
  }

  /**
   * @param what the message goes on with it: `for an incremental backup`
   * @throws BackupError `ENGINE_PRIVILEGE`, with the statement that gives what is missing; `SERVER_*`
   */
  async requireGrants(purpose: Purpose, what: string): Promise<void> {
    const missing = await this.missingGrants(purpose)
    if (missing !== undefined) throw privilegeError(missing, what)
  }

  /**
   * Oldest first; the last one is being written.
   *
   * @throws BackupError `SERVER_BINLOG_OFF`, `ENGINE_PRIVILEGE`, `SERVER_*`
   */
  async binaryLogs(): Promise<BinaryLog[]> {
    if (!(await this.#facts()).logBin) {
      throw new BackupError(
        'SERVER_BINLOG_OFF',
        'the server writes no binary log, so there is nothing an incremental backup could be made of',
        {},
        { hint: 'set log_bin in its configuration and restart it, then begin with a full backup' },
      )
    }
    await this.requireGrants('binary-logs', 'to list the binary logs')
    const rows = await this.#connection.run('binaryLogs')
    return rows.map((row) => ({ name: row.get('Log_name') ?? '', sizeBytes: Number(row.get('File_size')) }))
  }

  /** Every connection to a source; none when the server is no replica. @throws BackupError `ENGINE_PRIVILEGE`, `SERVER_*` */
  async replicaStatus(): Promise<ReplicaConnection[]> {
    await this.requireGrants('replica-status', 'to see whether the server is a replica')
    const { parsed } = await this.#facts()
    const statement = parsed.isMariaDb
      ? 'allReplicaStatus'
      : isAtLeast(parsed, 8, 0, 22)
        ? 'replicaStatus'
        : 'slaveStatus'
    return (await this.#connection.run(statement)).map(readReplicaConnection)
  }

  /**
   * Starts a replica. One that runs is left as it is.
   *
   * @param connections as `replicaStatus` has told them
   * @throws BackupError `ENGINE_PRIVILEGE`, `SERVER_*`
   */
  async startReplica(connections: readonly ReplicaConnection[]): Promise<void> {
    await this.requireGrants('replica-start', 'to start the replica')
    const { parsed } = await this.#facts()
    const isNamed = parsed.isMariaDb && connections.some(({ name }) => name !== '')
    if (isNamed) await this.#connection.run('startAllSlaves')
    else await this.#connection.run(!parsed.isMariaDb && isAtLeast(parsed, 8, 0, 22) ? 'startReplica' : 'startSlave')
  }

  /** Global values now, in seconds. @throws BackupError `SERVER_*` */
  async globalTimeouts(): Promise<Readonly<Record<TimeoutName, number>>> {
    this.#known = undefined
    const { wait, netRead, netWrite } = (await this.#facts()).timeouts
    return { wait_timeout: wait, net_read_timeout: netRead, net_write_timeout: netWrite }
  }

  /** For connections that are made from now on. @throws BackupError `ENGINE_PRIVILEGE`, `SERVER_*` */
  async setGlobalTimeout(name: TimeoutName, seconds: number): Promise<void> {
    await this.requireGrants('timeouts', `to set ${name}`)
    await this.#connection.run(SET_GLOBAL[name], [seconds])
  }

  /** Never throws. */
  async close(): Promise<void> {
    await this.#connection.close()
  }

  async #facts(): Promise<ServerFacts & { parsed: ServerVersion }> {
    this.#known ??= readFacts(
      namedValues(await this.#connection.run('facts')),
      namedValues(await this.#connection.run('lsn')),
    )
    return this.#known
  }

  async #readGrants(): Promise<Grants> {
    const [account] = (await this.#connection.run('account')).flatMap((row) => [...row.values()])
    const lines = (await this.#connection.run('grants')).flatMap((row) => [...row.values()])
    return readGrants(lines, account ?? '')
  }
}

const namedValues = (rows: readonly ReadonlyMap<string, string>[]): ReadonlyMap<string, string> =>
  new Map(rows.map((row) => [row.get('Variable_name') ?? '', row.get('Value') ?? '']))
