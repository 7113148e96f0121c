/**
 * Reads a file that says who somebody is, if it is one that may be believed.
 *
 *     private key     never through a link; ours or root's; open to nobody else
 *     certificates    may be links, as certbot keeps them; ours or root's, and nobody else writes to them
 *
 * Who reads the key can be the agent; who writes to the authorities, or to a directory on the way to them, can make
 * himself a client. On the client's side certificates may be anybody's, but not everybody's.
 */

import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import { laxOwner, laxWay, laxWriters, ourselves, shownMode } from '../trust/index.ts'

/** Whose file it is: it decides how a failure is called. */
export type Side = 'agent' | 'client'

export interface WantedFile {
  readonly path: string
  /** `the key`, `the certificate`, as it is called in messages. */
  readonly what: string
  readonly side: Side
  readonly isSecret?: boolean
}

/** All authorities that a system trusts are 250 kB. */
const MAX_FILE_BYTES = 4 * 1024 * 1024
const OPEN_TO_OTHERS = 0o077
const WRITABLE_FOR_EVERYBODY = 0o002

/** @throws BackupError `AGENT_TLS_FILE`, `CLIENT_TLS_FILE` */
export const readTrustedFile = async (wanted: WantedFile): Promise<string> => {
  const { path, isSecret = false } = wanted
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  let file: FileHandle
  try {
    // O_NONBLOCK: a FIFO under that name must not make us wait for its writer.
    file = await open(path, O_RDONLY | O_NONBLOCK | (isSecret ? O_NOFOLLOW : 0))
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    throw refused(wanted, WHY[code] ?? code, howTo(code, path), cause)
  }
  try {
    await checkTrust(file, wanted)
    return await file.readFile('latin1') // PEM is ASCII
  } finally {
    await file.close()
  }
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  ELOOP: 'it is a symbolic link',
}
const howTo = (code: string, path: string): string => {
  const copy = `install -m 0400 -o ${ourselves().uid} ${path} DIR`
  if (code === 'EACCES') return `give this user a copy of its own: ${copy}`
  return code === 'ELOOP' ? `name the file that it leads to, or a copy: ${copy}` : 'name a file that this user may read'
}

const checkTrust = async (file: FileHandle, wanted: WantedFile): Promise<void> => {
  const { path, side, isSecret = false } = wanted
  const found = await file.stat()
  const { mode, size } = found
  if (!found.isFile()) throw refused(wanted, 'it is not a file', 'name a file')
  if (isSecret && (mode & OPEN_TO_OTHERS) !== 0) {
    throw refused(wanted, `it is open to others than its owner (mode ${shownMode(mode)})`, `chmod 0400 ${path}`)
  }
  const isClients = side === 'client'
  const owner = isClients && !isSecret ? undefined : laxOwner(found, path)
  const writers = isClients && (mode & WRITABLE_FOR_EVERYBODY) === 0 ? undefined : laxWriters(found, path)
  const lax = owner ?? writers ?? (isClients ? undefined : await laxWay(path))
  if (lax !== undefined) throw refused(wanted, lax.problem, lax.command)
  if (size > MAX_FILE_BYTES) throw refused(wanted, `it is larger than ${MAX_FILE_BYTES} bytes`, 'name a PEM file')
}

/** The failure to use a file, called by its side. */
export const refused = (
  { path, what, side }: WantedFile,
  problem: string,
  hint: string,
  cause?: unknown,
): BackupError =>
  new BackupError(
    side === 'agent' ? 'AGENT_TLS_FILE' : 'CLIENT_TLS_FILE',
    `${what} ${path} cannot be used: ${problem}`,
    { path },
    { cause, hint },
  )

/** Changes when any of the files does, also when another takes its name. Cheap: it reads none of them. */
export const fingerprintOf = async (paths: readonly string[]): Promise<string> => {
  const prints = paths.map(async (path) => {
    const found = await stat(path, { bigint: true }).catch(() => undefined)
    if (found === undefined) return 'none'
    const { dev, ino, size, mtimeNs, ctimeNs } = found
    return [dev, ino, size, mtimeNs, ctimeNs].join(':')
  })
  return (await Promise.all(prints)).join(' ')
}
