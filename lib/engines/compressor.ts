/**
 * The compressors of this host: how each is found, started, and undone.
 *
 *     { zstd, level 3, 4 threads } ─▶ /usr/bin/zstd -c -q -3 -T4
 *
 * What runs is our own list of arguments, made from an enum and two numbers; the
 * program is found in the search path of this host. Nothing that a peer wrote gets here.
 */

import { availableParallelism } from 'node:os'

import { BackupError } from '../errors/index.ts'
import type { Compression, CompressorName } from '../protocol/index.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { type Filter, type FilterEnd, startFilter } from './filter.ts'
import { directoriesOf, findProgram } from './find-program.ts'

/** What compressed bytes are, whichever program made them. */
export const PACKINGS = ['gzip', 'zstd', 'lz4', 'xz'] as const
export type Packing = (typeof PACKINGS)[number]

/** `pigz` writes what gzip writes. */
export const packingOf = (name: CompressorName): Packing => (name === 'pigz' ? 'gzip' : name)

/** Debian's name of the package with the program. */
const PACKAGES: Readonly<Record<CompressorName, string>> = {
  gzip: 'gzip',
  pigz: 'pigz',
  zstd: 'zstd',
  lz4: 'lz4',
  xz: 'xz-utils',
}

/** xz takes fewer threads, and less of a dictionary, rather than more memory of a database host: xz(1). */
const XZ_PACKING_BYTES = '1GiB'
/** What the highest level of xz needs is 65 MiB; a header may ask for 4 GiB. */
const XZ_UNPACKING_BYTES = '512MiB'

/** A program that was found. */
export interface FoundCompressor {
  readonly compression: Compression
  /** Absolute path. */
  readonly program: string
  readonly searchPath: string
}

/** @throws BackupError `COMPRESS_NOT_FOUND` with the name of the package */
export const findCompressor = async (
  compression: Compression,
  searchPath = process.env['PATH'] ?? DEFAULT_SEARCH_PATH,
): Promise<FoundCompressor> => ({ compression, program: await find(compression.name, searchPath), searchPath })

/**
 * Starts it; nothing has gone in yet.
 *
 * @param runtimeDirectory as `EngineSettings.runtimeDirectory`; left out, what comes out is read in smaller pieces
 * @throws BackupError `ENGINE_UNUSABLE`
 */
export const startCompressor = (
  { compression, program, searchPath }: FoundCompressor,
  signal: AbortSignal,
  runtimeDirectory?: string,
): Promise<Filter> =>
  startFilter({
    name: compression.name,
    program,
    args: packingArguments(compression, availableParallelism()),
    environment: cleanEnvironment(searchPath, undefined),
    largeReadsIn: runtimeDirectory,
    signal,
    failureOf: (end) => compressorFailure(end) ?? stoppedEarly(end),
  })

/** @returns why what it wrote is worth nothing, if it is */
export const compressorFailure = (end: FilterEnd): BackupError | undefined => {
  const { name, exitCode, signal, tookAll, lastLine = '' } = end
  if (exitCode === 0 && tookAll) return undefined
  if (exitCode === 0) return stoppedEarly(end)
  const how = signal === undefined ? `exited with ${exitCode ?? null}, expected 0` : `was killed by ${signal}`
  const said = lastLine === '' ? '' : `: ${lastLine}`
  return new BackupError('COMPRESS_FAILED', `the compressor ${name} ${how}${said}`, {
    compressor: name,
    exitCode: exitCode ?? null,
    signal: signal ?? null,
  })
}

const stoppedEarly = ({ name }: FilterEnd): BackupError =>
  new BackupError('COMPRESS_FAILED', `the compressor ${name} ended before it had the whole archive`, {
    compressor: name,
  })

/**
 * Finds the program that undoes a compression.
 *
 * @throws BackupError `COMPRESS_NOT_FOUND` with the name of the package
 */
export const findDecompressor = (
  packing: Packing,
  searchPath = process.env['PATH'] ?? DEFAULT_SEARCH_PATH,
): Promise<string> => find(packing, searchPath)

/** Starts it. @throws BackupError `ENGINE_UNUSABLE`, `COMPRESS_NOT_FOUND` */
export const startDecompressor = async (packing: Packing, signal: AbortSignal): Promise<Filter> => {
  const searchPath = process.env['PATH'] ?? DEFAULT_SEARCH_PATH
  return startFilter({
    name: packing,
    program: await find(packing, searchPath),
    args: unpackingArguments(packing),
    environment: cleanEnvironment(searchPath, undefined),
    signal,
    failureOf: decompressorFailure,
  })
}

/** What it means that a decompressor ended otherwise than with 0. Killed, it has said nothing about the bytes. */
export const decompressorFailure = ({ name, exitCode, signal, lastLine }: FilterEnd): BackupError => {
  const facts = { decompressor: name, exitCode: exitCode ?? null, signal: signal ?? null }
  if (signal !== undefined) return new BackupError('ENGINE_UNUSABLE', `${name} -d was killed by ${signal}`, facts)
  const said = lastLine === undefined ? `it exited with ${exitCode ?? null}` : lastLine
  return new BackupError('COMPRESS_CORRUPT', `${name} -d refuses the compressed bytes: ${said}`, facts)
}

/** Exported for its test. */
export const packingArguments = ({ name, level, threads }: Compression, processors: number): string[] => {
  const atLevel = level === undefined ? [] : [`-${level}`]
  // More threads than processors only cost memory; 0 is for the program to count.
  const number = threads === undefined ? undefined : Math.min(threads, processors)
  switch (name) {
    case 'gzip':
      return ['-c', ...atLevel]
    case 'pigz':
      return ['-c', ...atLevel, ...(number === undefined ? [] : ['-p', `${number}`])]
    case 'zstd':
      return ['-c', '-q', ...atLevel, ...(number === undefined ? [] : [`-T${number}`])]
    case 'lz4':
      return ['-c', '-q', ...atLevel]
    case 'xz': {
      const limited = ['-c', '-q', `--memlimit-compress=${XZ_PACKING_BYTES}`, ...atLevel]
      return [...limited, ...(number === undefined ? [] : [`-T${number}`])]
    }
  }
}

const unpackingArguments = (packing: Packing): string[] => {
  switch (packing) {
    case 'gzip':
    case 'zstd':
    case 'lz4':
      return ['-dc', ...(packing === 'gzip' ? [] : ['-q'])]
    case 'xz':
      return ['-dc', '-q', `--memlimit-decompress=${XZ_UNPACKING_BYTES}`]
  }
}

const find = async (name: CompressorName, searchPath: string): Promise<string> => {
  const program = await findProgram([name], searchPath)
  if (program !== undefined) return program
  const directories = directoriesOf(searchPath)
  const hint = `install it: apt-get install ${PACKAGES[name]}${name === 'pigz' ? '; gzip makes the same format' : ''}`
  throw new BackupError(
    'COMPRESS_NOT_FOUND',
    `the program ${name} is not installed: looked for it in ${directories.join(', ')}`,
    { program: name, directories },
    { hint },
  )
}
