/**
 * Puts a login together: what the client said, else what the operator's option file says, else what is usual.
 *
 *     user, password     client ▸ option file ▸ the user we run as, no password
 *     socket             settings ▸ option file ▸ the first usual place where there is one
 *
 * The groups are those that a backup program reads, and win in its order: `[client]` and
 * its like first, the program's own later. A server that is only to be reached over TCP is
 * not asked: a backup needs its files, so it is on this host and has a socket.
 *
 * Refuses an option file that others may write to, as the agent does when it hands it on; and one with a password
 * in it that others may read: root:mysql 0640 is as far as it may be open.
 */

import { constants, type Stats } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname, resolve } from 'node:path'

import { BackupError } from '../errors/index.ts'
import { laxOwner, laxReaders, laxWay, laxWriters } from '../trust/index.ts'
import { type OptionLine, readOptionLines } from './option-lines.ts'
import type { ServerLogin } from './types.ts'

export interface ResolvedLogin {
  readonly socket: string
  readonly user: string
  readonly password: string
}

/** In the order of the programs' two passes; of one pass the last line wins. */
const PASSES: readonly (readonly string[])[] = [
  ['client', 'client-server', 'client-mariadb'],
  ['xtrabackup', 'mariabackup', 'mariadb-backup'],
]

/** Where Debian, RHEL and the upstream packages put it. */
const USUAL_SOCKETS = [
  '/run/mysqld/mysqld.sock',
  '/var/run/mysqld/mysqld.sock',
  '/var/lib/mysql/mysql.sock',
  '/tmp/mysql.sock',
]

/** Source: mysys/my_default.c, which gives up at ten as well. */
const MAX_INCLUDES_DEEP = 10
const MAX_FILE_BYTES = 1024 * 1024

/** @throws BackupError `ENGINE_DEFAULTS_FILE`, `SERVER_UNREACHABLE` when there is no socket */
export const resolveLogin = async (login: ServerLogin): Promise<ResolvedLogin> => {
  const options = login.defaultsFile === undefined ? new Map<string, string>() : await readOptions(login.defaultsFile)
  return {
    socket: login.socket === undefined ? await socketOf(options) : resolve(login.socket),
    user: login.user ?? options.get('user') ?? userInfo().username,
    password: login.password ?? options.get('password') ?? '',
  }
}

const socketOf = async (options: ReadonlyMap<string, string>): Promise<string> => {
  const socket = options.get('socket')
  if (socket !== undefined) return socket
  const host = options.get('host') ?? 'localhost'
  if (host !== 'localhost' || options.get('protocol')?.toLowerCase() === 'tcp') {
    throw new BackupError(
      'SERVER_UNREACHABLE',
      `the server is asked by its local socket, and the option file names a host (${host}) and none`,
      { host },
      { hint: 'add socket=… to its group [client]' },
    )
  }
  for (const usual of USUAL_SOCKETS) {
    if ((await stat(usual).catch(() => undefined))?.isSocket() === true) return usual
  }
  throw new BackupError(
    'SERVER_UNREACHABLE',
    `there is no socket of a server at ${USUAL_SOCKETS.join(', ')}`,
    { looked: USUAL_SOCKETS },
    { hint: 'check that the server runs, and give its socket with --socket' },
  )
}

/**
 * Whether the operator's option file may be believed, and keeps its login to itself. Reads it with its includes.
 *
 * @throws BackupError `ENGINE_DEFAULTS_FILE`, whose hint is the command that puts it right
 */
export const checkDefaultsFile = async (path: string): Promise<void> => {
  await readFileLines(resolve(path), 0)
}

/** What the backup programs would take from the file. */
const readOptions = async (path: string): Promise<Map<string, string>> => {
  const lines = await readFileLines(resolve(path), 0)
  const options = new Map<string, string>()
  for (const groups of PASSES) {
    for (const line of lines) {
      if (line.kind !== 'option' || !groups.includes(line.group)) continue
      const name = line.name.replace(/^loose-/, '')
      if (line.value !== undefined) options.set(name, line.value)
      else if (name === 'skip-password') options.delete('password')
    }
  }
  return options
}

const readFileLines = async (path: string, depth: number): Promise<OptionLine[]> => {
  if (depth > MAX_INCLUDES_DEEP) throw unusable(path, `it is included ${MAX_INCLUDES_DEEP} files deep`)
  const lines: OptionLine[] = []
  const { text, found } = await readTrusted(path)
  const written = readOptionLines(text, path)
  const lax = written.some(isPassword) ? laxReaders(found, path) : undefined
  if (lax !== undefined) throw unusable(path, `there is a password in it, and ${lax.problem}`, lax.command)
  for (const line of written) {
    if (line.kind === 'option') {
      lines.push(line)
      continue
    }
    const target = resolve(dirname(path), line.path)
    const files = line.kind === 'include' ? [target] : await optionFilesIn(target)
    for (const file of files) lines.push(...(await readFileLines(file, depth + 1)))
  }
  return lines
}

const optionFilesIn = async (directory: string): Promise<string[]> => {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    throw unusable(directory, `${error.code}`, undefined, error)
  })
  return names
    .filter((name) => /\.(cnf|ini)$/.test(name))
    .sort()
    .map((name) => resolve(directory, name))
}

/** Whichever program's group it stands in: a secret is one for everybody. */
const isPassword = (line: OptionLine): boolean =>
  line.kind === 'option' && /^(loose-)?password$/.test(line.name) && (line.value ?? '') !== ''

/** Links are followed, as the backup program follows them: who may put one there is asked of the way to where it leads. */
const readTrusted = async (path: string): Promise<{ readonly text: string; readonly found: Stats }> => {
  // O_NONBLOCK: a FIFO under that name must not make us wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw unusable(path, `${error.code}`, undefined, error)
  })
  try {
    const found = await file.stat()
    if (!found.isFile()) throw unusable(path, 'it is not a file')
    const lax = laxOwner(found, path) ?? laxWriters(found, path) ?? (await laxWay(path))
    if (lax !== undefined) throw unusable(path, lax.problem, lax.command)
    if (found.size > MAX_FILE_BYTES) throw unusable(path, `it has ${found.size} bytes`)
    return { text: await file.readFile('utf8'), found }
  } finally {
    await file.close()
  }
}

const unusable = (path: string, problem: string, hint?: string, cause?: unknown): BackupError =>
  new BackupError(
    'ENGINE_DEFAULTS_FILE',
    `the defaults file ${path} cannot be used: ${problem}`,
    { path },
    hint === undefined ? { cause } : { cause, hint },
  )
