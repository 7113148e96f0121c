/**
 * A real server behind the agent under test: some tables of every kind, a backup user whose
 * password is a canary, and the question whether the server is free again.
 */

import { ThrowawayServer, type ServerOptions } from '../rig/mariadb-server.ts'
import { Canary, untilNone } from './host-look.ts'

const USER = 'backup'

export interface TestedServerOptions extends ServerOptions {
  /** Of InnoDB, besides what every server holds. */
  readonly megabytes?: number
}

export class TestedServer {
  readonly server: ThrowawayServer
  readonly canary: Canary

  private constructor(server: ThrowawayServer, canary: Canary) {
    this.server = server
    this.canary = canary
  }

  static async start(salt: string, { megabytes = 40, ...options }: TestedServerOptions = {}): Promise<TestedServer> {
    const server = await ThrowawayServer.start({ directory: '/var/tmp', ...options })
    const tested = new TestedServer(server, new Canary(salt))
    await server.createBackupUser(USER, tested.canary.secret)
    await server.query(`
      CREATE DATABASE faults;
      CREATE TABLE faults.orders (id INT PRIMARY KEY, note VARBINARY(8000)) ENGINE=InnoDB;
      INSERT INTO faults.orders SELECT seq, REPEAT(RANDOM_BYTES(100), 80) FROM faults.seq_1_to_${megabytes * 125};
      CREATE TABLE faults.views (id INT PRIMARY KEY, url VARCHAR(100)) ENGINE=MyISAM;
      INSERT INTO faults.views SELECT seq, REPEAT('u', 90) FROM faults.seq_1_to_20000;
      CREATE TABLE faults.probe (id INT PRIMARY KEY AUTO_INCREMENT, at DATETIME(6) NOT NULL) ENGINE=InnoDB;
      CREATE TABLE faults.probe_ddl (id INT PRIMARY KEY) ENGINE=InnoDB;
      CREATE TABLE faults.probe_myisam (id INT PRIMARY KEY AUTO_INCREMENT, at DATETIME(6) NOT NULL) ENGINE=MyISAM;`)
    return tested
  }

  get login(): { readonly user: string; readonly password: string } {
    return { user: USER, password: this.canary.secret }
  }

  /** Options of `backup-agent serve` that make it back up this server. */
  get engineOptions(): string[] {
    return ['--engine', 'mariadb-backup', '--socket', this.server.socket]
  }

  /** Sessions of the backup user that are still there after so long, and writes that do not go through. */
  async locksLeft(withinMs: number): Promise<string[]> {
    const sessions = await untilNone(
      () =>
        this.server.query(
          `SELECT id, command, COALESCE(info, '') FROM information_schema.processlist WHERE user = '${USER}'`,
        ),
      withinMs,
    )
    const seconds = Math.ceil(withinMs / 1000)
    const blocked = await this.server
      .query(
        `SET lock_wait_timeout = ${seconds}, innodb_lock_wait_timeout = ${seconds};
         INSERT INTO faults.probe (at) VALUES (NOW(6)); INSERT INTO faults.probe_myisam (at) VALUES (NOW(6));
         ALTER TABLE faults.probe COMMENT = 'altered';`,
      )
      .then(
        () => [],
        (error: Error) => [`a write is refused: ${error.message.split('\n')[0]}`],
      )
    return [...sessions.left.map((row) => `session ${row.join(' ')}`), ...blocked]
  }

  /** Ends every session of the backup user, as an administrator would. */
  async killSessions(): Promise<void> {
    await this.server.query(`KILL USER ${USER}`) // by their numbers one that has just gone would be an error
  }

  /** Bytes of redo log that the server has ever written. */
  async redoBytes(): Promise<number> {
    return Number(
      await this.server.queryValue(
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_lsn_current'",
      ),
    )
  }

  discard(): Promise<void> {
    return this.server.discard()
  }
}
