/**
 * Changes the file of tokens, whole or not at all, one after the other.
 *
 *     tokens.lock   made by whoever changes, and by nobody while it is there (O_EXCL)
 *       │ read tokens, change, write here, fsync
 *       └─rename──▶ tokens      the change, and the end of the lock, in one step
 *
 * An agent that reads meanwhile sees the old file or the new one. Owner and mode of the file stay. A
 * process that was killed in between leaves its lock, and nothing else: nobody guesses whether it still works,
 * the next one says who to look for.
 */

import { constants } from 'node:fs'
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { BackupError } from '../errors/index.ts'
import type { TokenEntry } from './token-entry.ts'
import { readTokens, type TokensFile, type TokensLine, tokensText, unusable } from './tokens-file.ts'

/** A change takes milliseconds. */
const LOCK_MS = 10_000
const LOOK_MS = 20

/** @throws BackupError `AGENT_ACCESS_TOKENS`; `CLI_USAGE` when the name is taken, also by one that was revoked */
export const checkNewName = async (path: string, name: string): Promise<void> => {
  checkFree((await readTokens(path))?.lines ?? [], name)
}

/** @throws BackupError as `checkNewName`, and `AGENT_TOKENS_WRITE` */
export const addToken = (path: string, entry: TokenEntry): Promise<void> =>
  change(path, (lines) => {
    checkFree(lines, entry.name)
    return [...lines, entry]
  })

const checkFree = (lines: readonly TokensLine[], name: string): void => {
  if (!lines.some((line) => 'hash' in line && line.name === name)) return
  throw new BackupError(
    'CLI_USAGE',
    `there is a token ${name} already`,
    { name },
    { hint: 'choose another name; that of a revoked token stays taken, because the history speaks of it' },
  )
}

/**
 * @returns whether it had not been revoked before
 * @throws BackupError `AGENT_ACCESS_TOKENS`; `CLI_USAGE` when there is no such token
 */
export const revokeToken = async (path: string, name: string, nowMs: number): Promise<boolean> => {
  let isNew = false
  await change(path, (lines) => {
    const entry = lines.find((line): line is TokenEntry => 'hash' in line && line.name === name)
    if (entry === undefined) {
      throw new BackupError(
        'CLI_USAGE',
        `there is no token ${JSON.stringify(name.slice(0, 64))}`,
        {},
        { hint: 'backup-agent token list shows all of them' },
      )
    }
    isNew = entry.revokedMs === undefined
    const revoked = { ...entry, revokedMs: entry.revokedMs ?? Math.floor(nowMs / 1000) * 1000 }
    return lines.map((line) => (line === entry ? revoked : line))
  })
  return isNew
}

const change = async (path: string, next: (lines: readonly TokensLine[]) => readonly TokensLine[]): Promise<void> => {
  const lockPath = `${path}.lock`
  const lock = await takeLock(path, lockPath)
  let isRenamed = false
  try {
    const before = await readTokens(path)
    const text = tokensText(next(before?.lines ?? []))
    await likeBefore(lock, path, before)
    await lock.writeFile(text)
    await lock.sync()
    await rename(lockPath, path)
    isRenamed = true
    await keepName(dirname(path))
  } catch (error) {
    throw error instanceof BackupError ? error : notWritten(path, error, isRenamed)
  } finally {
    await lock.close()
    if (!isRenamed) await unlink(lockPath).catch(() => undefined)
  }
}

const takeLock = async (path: string, lockPath: string): Promise<FileHandle> => {
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
  const deadlineMs = performance.now() + LOCK_MS
  for (;;) {
    try {
      return await open(lockPath, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600)
    } catch (error) {
      const code = codeOf(error)
      if (FULL.has(code)) throw notWritten(path, error, false)
      if (code !== 'EEXIST')
        throw unusable(path, `its lock ${lockPath} cannot be made: ${code}`, howToMake(path), error)
      if (performance.now() >= deadlineMs) {
        throw unusable(
          path,
          `somebody else has been changing it for ${LOCK_MS / 1000} s`,
          `if no backup-agent token runs any more (pgrep -af backup-agent), one was killed: rm ${lockPath}`,
          error,
        )
      }
      await delay(LOOK_MS)
    }
  }
}

/** A new file is for root and the group of its directory, which a package gives to the agent's user. */
const likeBefore = async (lock: FileHandle, path: string, before: TokensFile | undefined): Promise<void> => {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0]
  const isRoot = uid === 0
  const wanted = before ?? {
    uid,
    gid: isRoot ? (await stat(dirname(path))).gid : gid,
    mode: isRoot ? 0o640 : 0o600,
  }
  if (wanted.uid !== uid || wanted.gid !== gid) await lock.chown(wanted.uid, wanted.gid)
  await lock.chmod(wanted.mode)
}

const keepName = async (directory: string): Promise<void> => {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY).catch(() => undefined)
  if (handle === undefined) return // one that we may write to and not read
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The disk, or what this user may have of it. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT'])

const notWritten = (path: string, cause: unknown, isChanged: boolean): BackupError => {
  const code = codeOf(cause)
  const problem = isChanged
    ? `is changed, and the disk does not confirm it: ${code}; it may be lost if this host crashes now`
    : `cannot be written: ${code}; it is as it was`
  const hint = HOW_TO_WRITE[code] ?? `may this user change it? ls -l ${path}`
  const facts = { path, errno: code, isChanged }
  return new BackupError('AGENT_TOKENS_WRITE', `the tokens file ${path} ${problem}`, facts, { cause, hint })
}

const HOW_TO_WRITE: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space, and try again',
  EDQUOT: 'free some space, and try again',
  EIO: 'look at the disk: dmesg',
  EBUSY: 'is the file a mount of its own? mount its directory instead',
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown error'

const howToMake = (path: string): string =>
  `make its directory, or ask as who may write there: install -d -m 0750 -g GROUP-OF-THE-AGENT ${dirname(path)}`
