/**
 * Runs `openssl` once: words and a file without a name go in, a text comes out.
 *
 * Started like every other program: no shell, a clean environment (so no OPENSSL_CONF of somebody's), killed when it
 * takes too long. What comes out may be a private key: it is held in memory, and never said.
 */

import { text } from 'node:stream/consumers'

import { BackupError } from '../errors/index.ts'
import { startChild } from './child.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { findProgram } from './find-program.ts'
import { LastLines } from './last-lines.ts'
import { StderrLines } from './stderr-lines.ts'

/** It takes a tenth of a second. */
const DEADLINE_MS = 30_000

/** It says a few lines. */
const WORDS_BYTES = 4096

/**
 * @param args absolute paths only
 * @param descriptor3 what it reads as /dev/fd/3. Its standard input is a socket, which has no name that can be opened
 * @throws BackupError `CERTIFICATE_MAKING`
 */
export const runOpenssl = async (
  args: readonly string[],
  descriptor3?: number,
  searchPath = process.env['PATH'] ?? DEFAULT_SEARCH_PATH,
): Promise<string> => {
  const program = await findProgram(['openssl'], searchPath)
  if (program === undefined) {
    throw new BackupError(
      'CERTIFICATE_MAKING',
      'expected the program openssl on the PATH, found none',
      {},
      { hint: INSTALL },
    )
  }
  const lines = new StderrLines()
  const words = new LastLines(WORDS_BYTES)
  const child = await startChild({
    program,
    args,
    environment: cleanEnvironment(searchPath, undefined),
    workingDirectory: '/',
    descriptor3,
    signal: AbortSignal.timeout(DEADLINE_MS),
    onStderr: (chunk) => {
      for (const line of lines.push(chunk)) words.push(line)
    },
  })
  const output = await text(child.stdout).catch(() => '')
  const { exitCode, signal } = await child.settled
  if (exitCode === 0) return output
  for (const line of lines.end()) words.push(line)
  const said = words.lines().findLast((line) => line.trim() !== '') ?? 'without a word'
  const end = exitCode === undefined ? `was killed by ${signal}` : `ended with ${exitCode}`
  throw new BackupError('CERTIFICATE_MAKING', `openssl ${args[0]} ${end}: ${said}`, {}, { hint: INSTALL })
}

const INSTALL = 'OpenSSL 3 or newer is needed; Debian: apt-get install openssl'
