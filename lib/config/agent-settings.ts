/**
 * What the operator decides about an agent, with the defaults.
 *
 * Pure data: the command line fills it, the library's caller may too.
 */

import type { OptionSet } from './option-set.ts'
import type { Role } from './role.ts'

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
/** What a slow receiver leaves behind while the backup program goes on. The disk's own reserve bounds it besides. */
export const DEFAULT_SPILL_BYTES = 64 * 1024 * 1024 * 1024
/** Enough for the jitter of a network; more than that belongs on a disk. */
export const SPILL_MEMORY_BYTES = 16 * 1024 * 1024
/** Not the usual temporary directory: that one is often memory, and small. Files there are unlinked as soon as they are open. */
export const DEFAULT_SPOOL_DIRECTORY = '/var/tmp'
/** Written by `backup-agent token`. Where it is missing there are no tokens. */
export const DEFAULT_TOKENS_FILE = '/etc/kv-backup-agent/tokens'

/** Deadlines, in seconds. Each has an option of its name, and an error code of its own. */
export const DEFAULT_SECONDS = {
  /** How long a running backup may take to end after SIGTERM. `JOB_DRAIN_TIMEOUT` */
  drain: 300,
  /** How long a client may take to send its request, from the first moment of the connection. `AGENT_REQUEST_TIMEOUT` */
  request: 10,
  /** From the start of the backup program to its first byte; 500 tables took 6 s. `JOB_START_TIMEOUT` */
  start: 300,
  /** How long the backup program may wait for a lock that a query or an ALTER TABLE holds. `JOB_LOCK_WAIT` */
  lockWait: 1800,
  /** How long the backup program may give no sign of life. `JOB_NO_PROGRESS` */
  hang: 120,
  /** The same while the server is blocked, and how long a receiver may take nothing then. `JOB_NO_PROGRESS`, `FLOW_STALLED_LOCKED` */
  locked: 10,
  /** How long a receiver may take nothing while nothing is blocked. `FLOW_STALLED` */
  stall: 600,
  /** How long the client's machine may leave everything unanswered. `JOB_CLIENT_UNREACHABLE` */
  network: 60,
  /** How long a client may take to make a complete backup durable and say so; then it is `sent-unconfirmed`. */
  receipt: 600,
} as const

export type Deadlines = Readonly<Record<keyof typeof DEFAULT_SECONDS, number>>

/** How many connections there may be at the same time. */
export interface ConnectionLimits {
  /** In all. */
  readonly all: number
  /** From one source: an address, or a network of version 6. */
  readonly perSource: number
  /** Whose request is not there yet, or was answered. */
  readonly unknown: number
}

/** Monitors and people come and go beside the one backup; far more than that is a flood. */
export const DEFAULT_CONNECTIONS: ConnectionLimits = { all: 256, perSource: 64, unknown: 128 }

/** Which server is backed up, and how. */
export interface ServerSettings {
  readonly engine: EngineChoice
  /** For the engine `directory`: what it sends. */
  readonly directory?: string
  /** The server's local socket. */
  readonly socket?: string
  /** An option file of the operator's, read by the backup program beside the login. */
  readonly defaultsFile?: string
  /** The server's data directory, where the backup program cannot learn it by itself. */
  readonly datadir?: string
  /**
   * The login is this host's business: that of the option file, or without one the agent's own user (unix_socket).
   * What clients send is not used.
   */
  readonly hostLogin?: boolean
  /** Other sockets and option files by which clients mean this server. */
  readonly knownAs?: readonly string[]
}

/** What a client may name. Everything else that it names is ignored or refused. */
export interface AllowLists {
  /** Where binary logs may be read that a client has named. */
  readonly binlogDirectories: readonly string[]
}

/** Whether clients show a certificate. `optional`: none will do, but one that is shown must be trusted. */
export const CLIENT_CERTIFICATES = ['none', 'optional', 'required'] as const
export type ClientCertificates = (typeof CLIENT_CERTIFICATES)[number]

/** With it the agent speaks TLS, and nothing else. Paths of PEM files. */
export interface TlsSettings {
  /** The agent's own, and those above it that clients do not have. */
  readonly certificate: string
  readonly key: string
  /** Who signs the certificates of clients. */
  readonly clientAuthorities?: string
  /** Left out: `required` where it is said who signs them, else `none`. */
  readonly clients?: ClientCertificates
}

export interface AgentSettings extends ServerSettings {
  readonly host: string
  /** TCP port; 0 lets the system choose one. */
  readonly port: number
  /** Where bytes wait: those whose place in the archive has not come yet, and those that the receiver is too slow for. */
  readonly spoolDirectory: string
  readonly spoolBytes: number
  readonly spillBytes: number
  readonly memoryBytes: number
  /** Where the history is. Left out: nothing is remembered beyond the life of the agent. */
  readonly stateDirectory?: string
  readonly seconds: Partial<Deadlines>
  readonly connections?: Partial<ConnectionLimits>
  /** Left out: everything travels in clear, and only this host may ask. */
  readonly tls?: TlsSettings
  /** Serve in clear also who comes from elsewhere. */
  readonly insecure?: boolean
  /** Servers that clients choose by name, beside the one described above; where that names none, they are all there are. */
  readonly instances?: Readonly<Record<string, Partial<ServerSettings>>>
  readonly allow?: AllowLists
  /** Sets of options for the backup program that clients choose by name. */
  readonly optionSets?: Readonly<Record<string, OptionSet>>
  /** Who may ask what. Without any everybody may ask everything; with one, whoever has none is refused. */
  readonly roles?: Readonly<Record<string, Role>>
  /** Which token gives which role. Left out: there are no tokens. */
  readonly tokensFile?: string
}
