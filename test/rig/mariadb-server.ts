/**
 * A real MariaDB server with a life of its own: private data directory, private socket, no network.
 *
 *     const server = await ThrowawayServer.start()
 *     await server.query('CREATE DATABASE shop')
 *     …
 *     await server.discard()
 *
 * It never touches a server or a data directory that it did not make (`startOn` runs on the
 * directory it is given, and leaves it there). Whatever ends the process that started it,
 * `guard.ts` kills the server and removes its files.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

import { forgetProcess, makeGuardedDirectory, removeGuardedDirectory, watchProcess } from './guard.ts'
import { lastLines, mustRun, plainEnvironment, runProgram } from './run-program.ts'
import { asRoot, installDataDirectory } from './server-template.ts'
import { parseRows, quoteText, type Row } from './sql-text.ts'

export interface ServerOptions {
  /** Where the server's private directory is made; the system's directory for temporary files by default. */
  readonly directory?: string
  /** Size of the redo log; small by default. */
  readonly redoLogBytes?: number
  readonly bufferPoolBytes?: number
  /** Whether to write a binary log (`binlog` in the data directory); no by default. */
  readonly binaryLog?: boolean
  /** User, and group of the same number, who runs it and owns its files; root can give it to another. */
  readonly owner?: number
  /** More options for mariadbd; they win over ours. */
  readonly options?: readonly string[]
}

/** What a backup needs on MariaDB 10.5 and newer, with a binary log or without. */
export const BACKUP_GRANTS = ['SELECT', 'RELOAD', 'PROCESS', 'BINLOG MONITOR', 'REPLICA MONITOR'] as const

const MIB = 1024 * 1024
const DEFAULT_REDO_LOG_BYTES = 16 * MIB
const DEFAULT_BUFFER_POOL_BYTES = 32 * MIB

/** A server with a redo log to recover may take a while; longer than this is a hang. */
const READY_WITHIN_MS = 60_000
const STOPPED_WITHIN_MS = 60_000

/** Lines of the server's log that are kept for an error message. */
const LOG_LINES_KEPT = 200

/** The kernel's limit for the path of a local socket, its closing NUL included (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 108

export class ThrowawayServer {
  /** Private directory: socket, and the data directory unless that came from outside. */
  readonly #home: string
  readonly #options: ServerOptions
  readonly #log: string[] = []
  #process: ChildProcessByStdio<null, null, Readable> | undefined
  #exited: Promise<unknown> = Promise.resolve()

  readonly dataDirectory: string
  /** Path of the local socket; there is no other way in. */
  readonly socket: string

  private constructor(home: string, dataDirectory: string, options: ServerOptions) {
    this.#home = home
    this.#options = options
    this.dataDirectory = dataDirectory
    this.socket = join(home, 'server.sock')
  }

  /** Starts a server on a new, empty data directory, and returns when it answers. */
  static async start(options: ServerOptions = {}): Promise<ThrowawayServer> {
    const home = makeHome(options)
    return await orRemove(home, async () => {
      await installDataDirectory(join(home, 'data'))
      const { owner } = options
      if (owner !== undefined) await mustRun('chown', ['-R', `${owner}:${owner}`, home])
      const server = new ThrowawayServer(home, join(home, 'data'), options)
      await server.restart()
      return server
    })
  }

  /**
   * Starts a server on a data directory that is there already, such as a restored backup.
   * The directory is written to, and stays when the server is discarded.
   */
  static async startOn(dataDirectory: string, options: ServerOptions = {}): Promise<ThrowawayServer> {
    const home = makeHome(options)
    return await orRemove(home, async () => {
      const server = new ThrowawayServer(home, dataDirectory, options)
      await server.restart()
      return server
    })
  }

  /** Process id of the running server. */
  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error('the server is not running')
    return this.#process.pid
  }

  get isRunning(): boolean {
    return this.#process !== undefined
  }

  /** The last lines of the server's log, of all its runs. */
  get logTail(): string {
    return this.#log.join('\n')
  }

  /** Starts the server again, on the same data, after `stop` or `kill9`. */
  async restart(): Promise<void> {
    if (this.#process !== undefined) throw new Error('the server is running')
    const child = spawn('mariadbd', this.#commandLine(), {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: plainEnvironment(),
      detached: true, // Ctrl-C in a terminal is for us; the server goes when we say so
    })
    if (child.pid === undefined) {
      const [error] = await once(child, 'error')
      throw new Error('mariadbd cannot be started (npm test and npm run demo install it)', { cause: error })
    }
    const { pid } = child
    watchProcess(pid, this.dataDirectory)
    this.#process = child
    this.#exited = once(child, 'close').then(() => {
      forgetProcess(pid)
      this.#process = undefined
    })
    await this.#untilReady(child)
  }

  /**
   * Runs SQL, several statements if need be, and returns the rows of all of them.
   *
   * @throws Error with the server's own message
   */
  async query(sql: string): Promise<Row[]> {
    const run = await runProgram('mariadb', this.clientOptions(), { input: sql, apart: true }) // it ends with the server
    if (run.exitCode !== 0) throw new Error(`${run.stderr.trim()}\nin: ${sql.slice(0, 300)}`)
    return parseRows(run.stdout.toString())
  }

  /** Like `query`, for a question that has one answer. */
  async queryValue(sql: string): Promise<string> {
    const value = (await this.query(sql))[0]?.[0]
    if (value === undefined) throw new Error(`no row came back from: ${sql.slice(0, 300)}`)
    return value
  }

  /** Options with which the `mariadb` client reaches this server as root, in batch mode. */
  clientOptions(): string[] {
    return [
      '--no-defaults',
      `--socket=${this.socket}`,
      '--user=root',
      '--default-character-set=utf8mb4',
      '--batch',
      '--skip-column-names',
    ]
  }

  /** Makes a user at localhost with global privileges, those of a backup by default. */
  async createBackupUser(name: string, password: string, grants: readonly string[] = BACKUP_GRANTS): Promise<void> {
    const account = `${quoteText(name)}@'localhost'`
    await this.query(`CREATE USER ${account} IDENTIFIED BY ${quoteText(password)};`)
    if (grants.length > 0) await this.query(`GRANT ${grants.join(', ')} ON *.* TO ${account};`)
  }

  /** Kills the server as a power cut would, and waits until it is gone. The data stays. */
  async kill9(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#exited
  }

  /** Shuts the server down in order, and waits until it is gone. The data stays. */
  async stop(): Promise<void> {
    this.#process?.kill('SIGTERM')
    const tooLong = setTimeout(() => this.#process?.kill('SIGKILL'), STOPPED_WITHIN_MS)
    await this.#exited
    clearTimeout(tooLong)
  }

  /** Kills the server if it runs, and removes everything that `start` made. */
  async discard(): Promise<void> {
    await this.kill9()
    await removeGuardedDirectory(this.#home)
  }

  #commandLine(): string[] {
    const { redoLogBytes = DEFAULT_REDO_LOG_BYTES, bufferPoolBytes = DEFAULT_BUFFER_POOL_BYTES } = this.#options
    return [
      '--no-defaults',
      ...(this.#options.owner === undefined ? asRoot() : [`--user=${this.#options.owner}`]),
      `--datadir=${this.dataDirectory}`,
      `--socket=${this.socket}`,
      `--pid-file=${join(this.#home, 'server.pid')}`,
      '--skip-networking',
      '--character-set-server=utf8mb4',
      `--innodb-log-file-size=${redoLogBytes}`,
      `--innodb-buffer-pool-size=${bufferPoolBytes}`,
      '--innodb-flush-log-at-trx-commit=2', // survives kill -9 of the server; a power cut is not our test
      '--key-buffer-size=8M',
      '--aria-pagecache-buffer-size=8M',
      '--performance-schema=OFF',
      ...(this.#options.binaryLog ? ['--log-bin=binlog', '--server-id=1'] : []),
      ...(this.#options.options ?? []),
    ]
  }

  /** Returns with the line by which the server says that it listens. */
  async #untilReady(child: ChildProcessByStdio<null, null, Readable>): Promise<void> {
    let problem = 'it ended'
    const tooLong = setTimeout(() => {
      problem = `it was not ready after ${READY_WITHIN_MS / 1000} s`
      child.kill('SIGKILL')
    }, READY_WITHIN_MS)
    const ready = new Promise<boolean>((resolve) => {
      // Read to its end, always: a server whose log nobody reads stops in the middle of a line.
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.#log.push(line)
        if (this.#log.length > LOG_LINES_KEPT) this.#log.shift()
        if (line.includes('ready for connections')) resolve(true)
      })
      void this.#exited.then(() => resolve(false))
    })
    const isReady = await ready
    clearTimeout(tooLong)
    if (isReady) return
    await this.#exited
    throw new Error(`mariadbd did not start, ${problem}; the end of its log:\n${lastLines(this.logTail, 15)}`)
  }
}

const makeHome = ({ directory }: ServerOptions): string => {
  const home = makeGuardedDirectory('server', directory)
  const length = Buffer.byteLength(join(home, 'server.sock')) + 1
  if (length <= MAX_SOCKET_PATH_BYTES) return home
  void removeGuardedDirectory(home)
  throw new Error(`${home} is too long a path for a local socket; set TMPDIR to a shorter one`)
}

const orRemove = async <Result>(directory: string, work: () => Promise<Result>): Promise<Result> => {
  try {
    return await work()
  } catch (error) {
    await removeGuardedDirectory(directory)
    throw error
  }
}
