/**
 * Finds the data directory of the server that listens on a local socket, by what the kernel shows of it.
 *
 *     /proc/net/unix        path of the socket ─▶ inode
 *     /proc/<pid>/fd        the server that has it open (mariadbd, mysqld)
 *     /proc/<pid>/cwd       a server stands in its data directory
 *
 * Only processes that we may look at: root sees all, another user its own. Whoever cannot
 * see the server gets no answer, and locks something else. Looks only. Source: proc(5).
 */

import { readdir, readFile, readlink, realpath } from 'node:fs/promises'

import type { EngineSettings } from './types.ts'

const SERVERS: readonly string[] = ['mariadbd', 'mysqld']

/** Where Debian's servers listen when nobody says otherwise. */
const DEFAULT_SOCKETS: readonly string[] = ['/run/mysqld/mysqld.sock', '/var/run/mysqld/mysqld.sock']

/**
 * The data directory of the server that the operator's settings lead to.
 *
 * @returns as it was named or can be seen; undefined when it cannot be told. Never rejects
 */
export const dataDirectoryOf = async ({
  datadir,
  socket,
  defaultsFile,
}: Pick<EngineSettings, 'datadir' | 'socket' | 'defaultsFile'>): Promise<string | undefined> => {
  if (datadir !== undefined) return datadir
  // An option file may name another socket: then nobody here knows which server it is.
  return socket !== undefined || defaultsFile === undefined ? dataDirectoryOfSocket(socket) : undefined
}

/** @returns an absolute path, or undefined when it cannot be told. Never rejects */
export const dataDirectoryOfSocket = async (socket: string | undefined): Promise<string | undefined> => {
  try {
    const paths = socket === undefined ? DEFAULT_SOCKETS : [socket, await realpath(socket)]
    const inodes = listeningInodes(await readFile('/proc/net/unix', 'latin1'), paths)
    if (inodes.size === 0) return undefined
    for (const pid of await readdir('/proc')) {
      if (/^\d+$/.test(pid) && (await isServer(pid)) && (await holdsOneOf(pid, inodes))) return await cwdOf(pid)
    }
  } catch {
    // what cannot be looked at tells nothing
  }
  return undefined
}

/** Shape: `Num RefCount Protocol Flags Type St Inode Path`; flags with 00010000 for a socket that listens. */
const LISTENING = /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ [0-9A-F]{3}1[0-9A-F]{4} \d+ \d+ +(\d+) (\/.*)$/gm

const listeningInodes = (table: string, paths: readonly string[]): ReadonlySet<string> => {
  const inodes = new Set<string>()
  for (const [, inode, path] of table.matchAll(LISTENING)) {
    if (inode !== undefined && path !== undefined && paths.includes(path)) inodes.add(inode)
  }
  return inodes
}

const isServer = async (pid: string): Promise<boolean> =>
  SERVERS.includes((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim())

const holdsOneOf = async (pid: string, inodes: ReadonlySet<string>): Promise<boolean> => {
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined && inodes.has(inode)) return true
  }
  return false
}

/** A server that was started on a directory which is gone shows it with a word behind: that is none to lock. */
const cwdOf = async (pid: string): Promise<string | undefined> => {
  const directory = await readlink(`/proc/${pid}/cwd`)
  return directory.endsWith(' (deleted)') ? undefined : directory
}
