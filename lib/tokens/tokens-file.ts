/**
 * Reads the file of tokens, if it is one that may be believed.
 *
 *     # kv-backup-agent tokens 1          first line, always
 *     # the nightly run of backup1        comments stay where they are
 *     nightly sha256:… backup … … -       `token-entry.ts`
 *
 * Who can write it can give anybody any role, and who can read it learns who has one: it belongs to root or to
 * the agent's user, nobody else writes it, and the world does not read it. It is read anew for every
 * request that needs it, so a change counts at once. A file that is not understood to its last byte is
 * refused as a whole: a line that was passed over might be the one that revokes.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import { laxOwner, laxWay, readBounded, shownMode } from '../trust/index.ts'
import { readEntry, type TokenEntry, writeEntry } from './token-entry.ts'

export const TOKENS_MAGIC = '# kv-backup-agent tokens 1'

/** More than a thousand tokens. What a stranger's request makes us read is bounded by it. */
const MAX_BYTES = 256 * 1024
/** Its group may read; nobody but the owner writes; the world sees nothing. */
const FORBIDDEN_MODE = 0o027

export type TokensLine = TokenEntry | { readonly comment: string }

export interface TokensFile {
  /** Behind the first one. */
  readonly lines: readonly TokensLine[]
  readonly entries: readonly TokenEntry[]
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/**
 * @returns undefined where there is no such file: then there are no tokens
 * @throws BackupError `AGENT_ACCESS_TOKENS`
 */
export const readTokens = async (path: string): Promise<TokensFile | undefined> => {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  let file: FileHandle
  try {
    // O_NONBLOCK: a FIFO under that name must not make us wait for its writer.
    file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    if (code === 'ENOENT') return undefined
    throw unusable(path, WHY[code] ?? code, HOW[code] ?? `look at it: ls -l ${path}`, error)
  }
  try {
    const { mode, uid, gid } = await checkTrust(file, path)
    const lines = readLines(path, await readText(file, path))
    return { lines, entries: lines.filter((line) => 'hash' in line), mode: mode & 0o777, uid, gid }
  } finally {
    await file.close()
  }
}

/** The text of a file with these lines. */
export const tokensText = (lines: readonly TokensLine[]): string =>
  [TOKENS_MAGIC, ...lines.map((line) => ('hash' in line ? writeEntry(line) : line.comment))]
    .map((line) => `${line}\n`)
    .join('')

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'this user may not read it',
  ELOOP: 'it is a symbolic link',
}
const HOW: Readonly<Record<string, string>> = {
  EACCES: 'let the group of the agent read it: chgrp it, and chmod 0640',
  ELOOP: 'name the file that it leads to, as tokens-file',
}

const checkTrust = async (file: FileHandle, path: string) => {
  const found = await file.stat()
  if (!found.isFile()) throw unusable(path, 'it is not a file', 'name a file as tokens-file')
  const owner = laxOwner(found, path)
  if (owner !== undefined) throw unusable(path, owner.problem, owner.command)
  if ((found.mode & FORBIDDEN_MODE) !== 0) {
    throw unusable(
      path,
      `others than its owner may write to it, or all may read it (mode ${shownMode(found.mode & 0o777)})`,
      `chmod 0640 ${path}; who could write to it may have given a role to somebody: backup-agent token list`,
    )
  }
  const way = await laxWay(path) // who can put another file in its place brings a revoked token back
  if (way !== undefined) throw unusable(path, way.problem, way.command)
  if (found.size > MAX_BYTES) throw tooLarge(path)
  return found
}

const readText = async (file: FileHandle, path: string): Promise<string> => {
  const bytes = await readBounded(file, MAX_BYTES)
  if (bytes === undefined) throw tooLarge(path)
  return bytes.toString('latin1')
}

const readLines = (path: string, text: string): TokensLine[] => {
  const [magic, ...rest] = text.split('\n')
  if (magic !== TOKENS_MAGIC) throw broken(path, 1, `expected "${TOKENS_MAGIC}"`)
  if (rest.pop() !== '') throw broken(path, rest.length + 2, 'the last line has no end: is the file whole?')
  const names = new Set<string>()
  const hashes = new Set<string>()
  return rest.map((line, at): TokensLine => {
    if (line === '' || line.startsWith('#')) return { comment: line }
    const entry = readEntry(line)
    if (typeof entry === 'string') throw broken(path, at + 2, entry)
    const hash = entry.hash.toString('hex')
    if (names.has(entry.name)) throw broken(path, at + 2, `the name ${entry.name} stands there already`)
    if (hashes.has(hash)) throw broken(path, at + 2, 'this hash stands there already, under another name')
    names.add(entry.name)
    hashes.add(hash)
    return entry
  })
}

const broken = (path: string, line: number, problem: string): BackupError =>
  new BackupError(
    'AGENT_ACCESS_TOKENS',
    `the tokens file ${path} cannot be used: line ${line}: ${problem}`,
    { path, line },
    { hint: 'mend the line or remove it; until then the agent serves nobody' },
  )

const tooLarge = (path: string): BackupError =>
  unusable(path, `it is larger than ${MAX_BYTES} bytes`, 'remove the lines of tokens that expired long ago')

export const unusable = (path: string, problem: string, hint: string, cause?: unknown): BackupError =>
  new BackupError(
    'AGENT_ACCESS_TOKENS',
    `the tokens file ${path} cannot be used: ${problem}`,
    { path },
    cause === undefined ? { hint } : { cause, hint },
  )
