/**
 * Where a backup goes, and what proves it on the way: a file, a directory, the caller's stream.
 *
 *     receive ─▶ proven whole │ seal ─▶ durable, still without a name │ commit ─▶ named
 *         └──────────────────────┴──── discard: nothing is left ────────┘
 */

import type { Writable } from 'node:stream'

import { type ArchiveFacts, ArchiveProof, extractTar, XbstreamProof } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import { PartFile } from './part-file.ts'
import { type ArchiveFormat, interrupted } from './request.ts'
import { StagingDirectory } from './staging-directory.ts'

/** Where the backup goes: exactly one of these. */
export type FetchTarget =
  /** A file with the archive, compressed or not; made as `FILE.part`, named when whole. */
  | { readonly file: string }
  /** A directory that is empty or does not exist; made as `DIR.part`, named when whole. */
  | { readonly directory: string }
  /**
   * The caller's own stream; whether it was whole is known only from the receipt. The agent is told that every byte was
   * passed on, and remembers the backup as `sent-unconfirmed`: whether it is kept, nobody here knows.
   */
  | { readonly stream: Writable }

export interface Sink {
  /** Whether `commit` makes the backup durable. A stream takes every byte and says nothing about it. */
  readonly keeps: boolean
  /** Whether it has done with bytes when it asks for more. The caller's stream may keep what was written to it. */
  readonly usesUp: boolean
  /** Proves the archive while it is written; while its compressed bytes are, where those are kept. */
  receive(archive: AsyncIterable<Buffer>): Promise<ArchiveFacts>
  /** Writes compressed bytes. Where it is there, `receive` writes nothing. */
  readonly keepPacked?: (bytes: Buffer) => Promise<void>
  /** Makes what was written durable; it has no name yet. */
  seal(): Promise<void>
  commit(): Promise<void>
  discard(): Promise<void>
}

/** @throws BackupError `CLIENT_TARGET`, `CLIENT_WRITE` */
export const openSink = async (
  target: FetchTarget,
  format: ArchiveFormat,
  signal: AbortSignal,
  keepsPacked: boolean,
): Promise<Sink> => {
  const receiving = (write: (bytes: Buffer) => Promise<void>): Pick<Sink, 'receive' | 'keepPacked'> =>
    keepsPacked
      ? { keepPacked: write, receive: (archive) => proved(archive, format, async () => undefined) }
      : { receive: (archive) => proved(archive, format, write) }
  if ('file' in target) {
    const file = await PartFile.create(target.file)
    return {
      keeps: true,
      usesUp: true,
      ...receiving((bytes) => file.write(bytes)),
      seal: () => file.seal(),
      commit: () => file.commit(),
      discard: () => file.discard(),
    }
  }
  if ('directory' in target) {
    const staging = await StagingDirectory.create(target.directory)
    return {
      keeps: true,
      usesUp: true,
      receive: (archive) => extractTar(archive, staging.path, { signal }),
      seal: async () => undefined, // every file was synced when it was unpacked
      commit: () => staging.commit(),
      discard: () => staging.discard(),
    }
  }
  target.stream.on('error', () => undefined) // every write gets it too, and says so
  return {
    keeps: false,
    usesUp: false,
    ...receiving((bytes) => written(target.stream, bytes, signal)),
    seal: async () => undefined,
    commit: async () => undefined,
    discard: async () => undefined,
  }
}

/** Reads an archive of either format and says at its end whether it is whole. */
export interface Proof {
  push(chunk: Buffer): void
  /** Where an archive has no mark, the version stands in what the backup program wrote. */
  finish(): ArchiveFacts & { readonly engineVersion?: string | undefined }
}

export const proofOf = (format: ArchiveFormat): Proof => (format === 'tar' ? new ArchiveProof() : new XbstreamProof())

const proved = async (
  archive: AsyncIterable<Buffer>,
  format: ArchiveFormat,
  write: (bytes: Buffer) => Promise<void>,
): Promise<ArchiveFacts> => {
  const proof = proofOf(format)
  for await (const bytes of archive) {
    proof.push(bytes)
    await write(bytes)
  }
  return proof.finish()
}

/** Returns when the bytes are out. A reader that closed its end early (`| head`) is a failed write, not a whole backup. */
const written = async (stream: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> => {
  if (stream.destroyed) throw brokenOutput(stream.errored)
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(interrupted(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    stream.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort)
      if (error) reject(brokenOutput(error))
      else resolve()
    })
    if (signal.aborted) onAbort()
  })
}

const brokenOutput = (cause: unknown): BackupError => {
  const errno = (cause as NodeJS.ErrnoException | null)?.code ?? 'closed'
  return new BackupError('CLIENT_WRITE', `cannot write to the output: ${errno}`, { errno }, { cause })
}
