/**
 * What the operator decides about an agent, with the defaults.
 *
 * Pure data: the command line fills it, the library's caller may too.
 */

/** Which program makes the backup; `auto` takes what is there. */
export const ENGINE_CHOICES = ['auto', 'mariadb-backup', 'xtrabackup', 'directory'] as const
export type EngineChoice = (typeof ENGINE_CHOICES)[number]

export const DEFAULT_HOST = '127.0.0.1'
/** The port deployed clients ask. Source: wire-facts, "Port". */
export const DEFAULT_PORT = 25_300
/** Small files wait in memory for their size; bigger ones stream or go to the spool. */
export const DEFAULT_MEMORY_BYTES = 32 * 1024 * 1024
/** A redo log of this size is copied while the tables are; a busier server needs more. */
export const DEFAULT_SPOOL_BYTES = 16 * 1024 * 1024 * 1024
/** Not the usual temporary directory: that one is often memory, and small. Files there are unlinked as soon as they are open. */
export const DEFAULT_SPOOL_DIRECTORY = '/var/tmp'
/** How long a running backup may take to end after SIGTERM. */
export const DEFAULT_DRAIN_SECONDS = 300
/** How long a client may take to send its request, from the first moment of the connection. */
export const DEFAULT_REQUEST_SECONDS = 10

export interface AgentSettings {
  readonly host: string
  /** TCP port; 0 lets the system choose one. */
  readonly port: number
  readonly engine: EngineChoice
  /** For the engine `directory`: what it sends. */
  readonly directory?: string
  /** The server's local socket. */
  readonly socket?: string
  /** An option file of the operator's, read by the backup program beside the login. */
  readonly defaultsFile?: string
  /** The server's data directory, where the backup program cannot learn it by itself. */
  readonly datadir?: string
  /** Where bytes wait whose place in the archive has not come yet. */
  readonly spoolDirectory: string
  readonly spoolBytes: number
  readonly memoryBytes: number
  readonly drainSeconds: number
  readonly requestSeconds: number
}
