/**
 * Recognises the words with which deployed clients ask for a compressor. They are never run.
 *
 *     /usr/bin/gzip -c      ─▶ gzip
 *     gzip -c -1            ─▶ gzip, level 1
 *     pigz -p 4 -c          ─▶ pigz, 4 threads
 *     /usr/bin/zstd -T4 -3  ─▶ zstd, level 3, 4 threads
 *     gzip -c; id           ─▶ refused: the word "-c;"
 *
 * A client undoes the compression by the same words with `-d` added, so each of them must
 * mean what it means to the program. A list of what may stand there, not of what may not:
 * a word that is not on it is refused, and named. Pure. Rule: PROTOCOL.md, "Compression".
 */

import {
  type Compression,
  COMPRESSORS,
  type CompressorName,
  isCompressor,
  readLevel,
  readThreads,
  refused,
} from './compression.ts'
import { showWire } from './wire-text.ts'

export const COMPRESS_WORDS_KEY = 'xtrabackup-agent:inline-compress'

/** The program alone, or where it lies on the client's machine. */
const PROGRAM = /^(?:\/(?:[A-Za-z0-9_][A-Za-z0-9._-]*\/)*)?([a-z0-9]+)$/

/** Words that change nothing: output on standard output is all there is here, and nobody reads what it says. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(['--stdout', '--to-stdout', '--quiet', '-'])

/** `-c`, `-q` and a level, in one word or in several: `-9c`. */
const LETTERS_AND_LEVEL = /^-([cq]*)([0-9]*)([cq]*)$/

/** How each says its number of threads, as one word; those that know none are not here. */
const THREADS_IN_WORD: Readonly<Partial<Record<CompressorName, RegExp>>> = {
  pigz: /^(?:-p|--processes=)(.+)$/,
  zstd: /^(?:-T|--threads=)(.+)$/,
  xz: /^(?:-T|--threads=)(.+)$/,
}

/** And as two. */
const THREADS_BEFORE_NUMBER: Readonly<Partial<Record<CompressorName, readonly string[]>>> = {
  pigz: ['-p', '--processes'],
  xz: ['-T', '--threads'],
}

/**
 * @param text the value of `xtrabackup-agent:inline-compress`, not empty
 * @throws BackupError `COMPRESS_REFUSED` with the word that is not recognised
 */
export const readCompressWords = (text: string): Compression => {
  const [program = '', ...words] = text.split(' ').filter((word) => word !== '')
  const name = PROGRAM.exec(program)?.[1] ?? ''
  if (!isCompressor(name)) throw notRecognised(program, `one of ${COMPRESSORS.join(', ')}`)
  let numbers: Omit<Compression, 'name'> = {}
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string
    if (WITHOUT_EFFECT.has(word)) continue
    const inWord = THREADS_IN_WORD[name]?.exec(word)?.[1]
    if (inWord !== undefined || THREADS_BEFORE_NUMBER[name]?.includes(word)) {
      if (inWord === undefined) at += 1
      numbers = { ...numbers, threads: readThreads(name, inWord ?? words[at] ?? '', COMPRESS_WORDS_KEY) }
      continue
    }
    const [, , digits] = (word.length > 1 ? LETTERS_AND_LEVEL.exec(word) : null) ?? []
    if (digits === undefined) throw notRecognised(word, wordsOf(name))
    if (digits !== '') numbers = { ...numbers, level: readLevel(name, digits, COMPRESS_WORDS_KEY) }
  }
  return { name, ...numbers }
}

/** The words with which we ask an agent of 0.76, in the manner of deployed clients. */
export const writeCompressWords = ({ name, level }: Compression): string =>
  level === undefined ? `${name} -c` : `${name} -c -${level}`

const notRecognised = (word: string, expected: string): Error =>
  refused(
    `expected ${expected} in ${COMPRESS_WORDS_KEY}, found ${showWire(word)}`,
    'the words are recognised and never run: a program, -c, a level and threads, as in "zstd -c -3 -T4"',
  )

const wordsOf = (name: CompressorName): string => {
  const threads = name === 'pigz' ? ', -p THREADS' : name === 'zstd' || name === 'xz' ? ', -T THREADS' : ''
  return `-c, -q, -LEVEL${threads} behind ${name}`
}
