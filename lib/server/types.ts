/**
 * The words of the room `server`: how it is reached, and what it answers.
 *
 * Types only. Whatever an answer holds is the server's own word at one moment.
 */

/** How the server is reached: by its local socket, as somebody. */
export interface ServerLogin {
  /** Unix socket; wins over the option file's. */
  readonly socket?: string | undefined
  /** Wins over the option file's; without either it is the user that we run as. */
  readonly user?: string | undefined
  /** Wins over the option file's. */
  readonly password?: string | undefined
  /** An option file of the operator. */
  readonly defaultsFile?: string | undefined
}

export interface ServerOptions {
  readonly connectMs?: number
  /** For one question. */
  readonly queryMs?: number
}

export interface ServerVersion {
  /** As the server says it: `10.11.19-MariaDB-0+deb12u1-log`. */
  readonly text: string
  readonly isMariaDb: boolean
  readonly major: number
  readonly minor: number
  readonly patch: number
}

/** The timeouts a backup may depend on, in seconds. */
export interface ServerTimeouts {
  readonly wait: number
  readonly netRead: number
  readonly netWrite: number
}

export interface ServerFacts {
  /** `10.11.19` */
  readonly version: string
  readonly versionText: string
  readonly isMariaDb: boolean
  /** Absolute, without a slash at the end. */
  readonly dataDirectory: string
  /** Whether a binary log is written. */
  readonly logBin: boolean
  /** Path of the binary logs without their numbers; unknown to MariaDB before 10.1. */
  readonly binlogBasename: string | undefined
  /** `ROW`, `STATEMENT` or `MIXED`. */
  readonly binlogFormat: string | undefined
  /**
   * A text that names this server, for as long as it keeps its data directory:
   *
   * | server        | text                          |
   * |---------------|-------------------------------|
   * | MySQL         | `server_uuid`                 |
   * | MariaDB       | `server_uid` and its data directory: the first alone is shared by all servers of a host and port |
   * | older MariaDB | host name and data directory |
   */
  readonly serverUuid: string
  /** Where the redo log stood, decimal digits; undefined where the server does not say. */
  readonly lsn: string | undefined
  /** Global values. */
  readonly timeouts: ServerTimeouts
}

/** A binary log of the server, in the order of writing. */
export interface BinaryLog {
  /** File name, without a directory. */
  readonly name: string
  readonly sizeBytes: number
}

/** One connection of a replica to its source. */
export interface ReplicaConnection {
  /** Empty for the one that has no name. */
  readonly name: string
  /** Every column in the server's own words and order. */
  readonly columns: ReadonlyMap<string, string>
  /** Whether both of its threads run, or try to. */
  readonly isRunning: boolean
}
