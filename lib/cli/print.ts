/**
 * Prints words, and says when nobody got them: a closed pipe, a full disk, a terminal that is gone.
 *
 * Without this such a write ends the process as a bug would, behind a backup that is whole.
 */

import { fstatSync, statSync } from 'node:fs'

import { BackupError } from '../errors/index.ts'

/**
 * Resolves when the words are out. A reader that has closed its end has seen enough (`| head`): that is no failure. Nor is it
 * one when standard error takes nothing: what is said there is for whoever looks.
 *
 * @throws BackupError `CLI_OUTPUT` when they are lost otherwise
 */
export const print = async (stream: NodeJS.WritableStream, words: string): Promise<void> => {
  const failure = await written(stream, words)
  if (failure !== undefined && failure.code !== 'EPIPE' && stream !== process.stderr) throw notPrinted(failure)
}

/** For words that are said once: that nobody reads them is a failure, too. @throws BackupError `CLI_OUTPUT` */
export const printToReader = async (stream: NodeJS.WritableStream, words: string): Promise<void> => {
  if (stream === process.stdout && isNowhere()) throw notPrinted({ name: '', message: '', code: '/dev/null' })
  const failure = await written(stream, words)
  if (failure !== undefined) throw notPrinted(failure)
}

/** Where Node puts a standard output that was closed. */
const isNowhere = (): boolean => {
  try {
    return fstatSync(process.stdout.fd).rdev === statSync('/dev/null').rdev
  } catch {
    return false // writing says what is wrong
  }
}

const written = (stream: NodeJS.WritableStream, words: string): Promise<NodeJS.ErrnoException | undefined> => {
  outliveFailures(stream)
  return new Promise((resolve) => stream.write(words, (error) => resolve(error ?? undefined)))
}

const notPrinted = (cause: NodeJS.ErrnoException): BackupError => {
  const { code: errno = 'unknown' } = cause
  return new BackupError('CLI_OUTPUT', `cannot print what there is to say: ${errno}`, { errno }, { cause })
}

/** Lets a write that fails be no more than that: whoever waits for it is told. */
export const outliveFailures = (stream: NodeJS.WritableStream): void => {
  if (heard.has(stream)) return
  heard.add(stream)
  stream.on('error', () => undefined)
}

const heard = new WeakSet<NodeJS.WritableStream>()
