/**
 * Refuses names that cannot become a backup and its receipt side by side.
 *
 *     FILE  FILE.part        the archive, while it arrives and when it is whole
 *     RECEIPT  RECEIPT.part  the same of its receipt: none of the four may be another one of them
 *     DIR  DIR.part          unpacked; nothing else may lie in either
 *
 * Whatever is found here would be found otherwise when the last byte is there. Looks at
 * directories, and makes nothing.
 */

import { realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'

import { BackupError } from '../errors/index.ts'
import type { FetchTarget } from './fetch-sink.ts'

/**
 * @param receiptFile where a receipt is wanted that does not lie beside its archive by itself
 * @throws BackupError `CLI_USAGE`
 */
export const checkTargetNames = async (target: FetchTarget, receiptFile: string | undefined): Promise<void> => {
  if ('file' in target) checkFileName(target.file, 'the archive')
  if ('directory' in target && target.directory === '')
    throw usage('a directory needs a name', 'name one, or . for this')
  if (receiptFile === undefined) return
  checkFileName(receiptFile, 'the receipt')
  const receipt = await realPath(receiptFile)
  if ('file' in target) {
    const file = await realPath(target.file)
    const taken = new Set([file, `${file}.part`])
    if (taken.has(receipt) || taken.has(`${receipt}.part`)) {
      throw usage(`the receipt ${receiptFile} and the archive ${target.file} are in each other's way`, OTHER_NAME)
    }
  }
  if ('directory' in target) {
    const directory = await realPath(target.directory)
    if ([directory, `${directory}.part`].some((taken) => receipt === taken || receipt.startsWith(taken + sep))) {
      throw usage(`the receipt ${receiptFile} would lie in the directory that is unpacked`, OTHER_NAME)
    }
  }
}

const OTHER_NAME = 'name another place for the receipt'

const checkFileName = (path: string, what: string): void => {
  if (path !== '' && !path.endsWith(sep)) return
  throw usage(`${JSON.stringify(path)} is no name of a file for ${what}`, 'name a file, not a directory')
}

/** As the system sees it; what does not exist yet is where it is going to be. */
const realPath = async (path: string): Promise<string> => {
  const absolute = resolve(path)
  return join(await realpath(dirname(absolute)).catch(() => dirname(absolute)), basename(absolute))
}

const usage = (message: string, hint: string): BackupError => new BackupError('CLI_USAGE', message, {}, { hint })
