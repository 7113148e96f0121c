/**
 * Reads the configuration file, if it is one that may be believed.
 *
 *     /etc/kv-backup-agent/agent.toml ─┬▶ a table, with nothing checked in it yet
 *                                      ├▶ one mistake: no TOML, at this line and column
 *                                      └▶ refused: not ours, open to others, a link, no file, too large
 *
 * The agent does as the file says, often as a user who may read every database: whoever can write the
 * file has that user's rights. So it belongs to root or to the agent's user, and nobody else writes to it.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { parse, TomlError } from 'smol-toml'

import { BackupError } from '../errors/index.ts'
import { laxOwner, laxWay, laxWriters, readBounded, shownMode } from '../trust/index.ts'
import type { Mistake } from './mistakes.ts'

/** Far beyond every use: a file with a hundred instances has 10 KiB. */
export const MAX_CONFIG_BYTES = 64 * 1024

export type Table = Readonly<Record<string, unknown>>

export interface ConfigFile {
  readonly path: string
  readonly text: string
  /** Empty where the text is no TOML. */
  readonly table: Table
  readonly mistakes: readonly Mistake[]
}

/**
 * @param isWanted somebody has named the file: then it must be there
 * @returns undefined when there is no such file
 * @throws BackupError `CONFIG_FILE`
 */
export const readConfigFile = async (path: string, isWanted: boolean): Promise<ConfigFile | undefined> => {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  let file: FileHandle
  try {
    // O_NONBLOCK: a FIFO under that name must not make us wait for its writer.
    file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    if (code === 'ENOENT' && !isWanted) return undefined
    throw refused(path, WHY[code] ?? code, HOW[code] ?? 'name a file that the agent may read with --config', error)
  }
  try {
    await checkTrust(file, path)
    return readToml(path, await readText(file, path))
  } finally {
    await file.close()
  }
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  ELOOP: 'it is a symbolic link',
}
const HOW: Readonly<Record<string, string>> = {
  ELOOP: 'name the file that it leads to',
  EACCES: 'let the group of the agent read it: chgrp it, and chmod 0640',
}

const checkTrust = async (file: FileHandle, path: string): Promise<void> => {
  const found = await file.stat()
  if (!found.isFile()) throw refused(path, 'it is not a file', 'name a file with --config')
  const owner = laxOwner(found, path)
  if (owner !== undefined) throw refused(path, owner.problem, owner.command)
  const writers = laxWriters(found, path)
  if (writers !== undefined) {
    throw refused(
      path,
      `others than its owner may write to it (mode ${shownMode(found.mode & 0o777)})`,
      writers.command,
    )
  }
  const way = await laxWay(path)
  if (way !== undefined) throw refused(path, way.problem, way.command)
  if (found.size > MAX_CONFIG_BYTES) throw tooLarge(path)
}

const readText = async (file: FileHandle, path: string): Promise<string> => {
  const bytes = await readBounded(file, MAX_CONFIG_BYTES)
  if (bytes === undefined) throw tooLarge(path)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw refused(path, 'it is not valid UTF-8', 'save it as UTF-8', cause)
  }
}

const readToml = (path: string, text: string): ConfigFile => {
  try {
    return { path, text, table: parse(text), mistakes: [] }
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // The parser's own picture of the place shows the line, and what stands there.
    const [sentence = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n')
    const mistake = { where: `${path}:${error.line}:${error.column}`, message: `this is no TOML: ${sentence}` }
    return { path, text, table: {}, mistakes: [mistake] }
  }
}

const tooLarge = (path: string): BackupError =>
  refused(path, `it is larger than ${MAX_CONFIG_BYTES} bytes`, 'name the configuration with --config')

const refused = (path: string, problem: string, hint: string, cause?: unknown): BackupError =>
  new BackupError('CONFIG_FILE', `the configuration file ${path} cannot be used: ${problem}`, { path }, { cause, hint })
