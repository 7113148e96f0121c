/**
 * Unpacks an archive into an empty directory while it proves it, in one pass.
 *
 *     chunk ─▶ ArchiveProof ─▶ file created │ bytes written │ synced and closed ─▶ … ─▶ whole? ─▶ directories synced
 *
 * Only files and directories, only below the target, nothing replaced, no setuid bits; owner and times are those of
 * whoever unpacks. It returns when every file and directory is on the disk and the archive was proven whole. When it
 * throws, what was unpacked so far is still there, and is no backup: **the caller removes it.**
 *
 * Memory: one chunk, and two mebibytes that are gathered and written. The source is not asked for more while both wait.
 */

import type { FileHandle } from 'node:fs/promises'

import { BackupError } from '../errors/index.ts'
import { type ArchiveFacts, ArchiveProof } from './archive-proof.ts'
import { GatheredWrites } from './gathered-writes.ts'
import { TargetDirectory } from './target-directory.ts'
import { untilAborted } from './until-aborted.ts'

/** So many files may be on their way to the disk while the next are written: one at a time would wait for each. */
const MAX_CLOSING_FILES = 16

export interface ExtractOptions {
  /** Stops at once, also while the source is silent. */
  readonly signal?: AbortSignal
  /** Told of every file whose last byte was written. */
  readonly onFile?: (path: string, sizeBytes: number) => void
}

/**
 * @param source the archive, undressed of every encoding; each chunk must stay as it is until the next is asked for
 * @param targetDirectory exists and is empty
 * @returns what is known about the archive, now proven whole
 * @throws BackupError `CLIENT_TARGET`, `CLIENT_WRITE`, `ARCHIVE_*`; `CLIENT_INTERRUPTED`, or the signal's reason if that
 *   is a BackupError. What the source throws passes through as it is.
 */
export const extractTar = async (
  source: AsyncIterable<Buffer>,
  targetDirectory: string,
  options: ExtractOptions = {},
): Promise<ArchiveFacts> => {
  const target = await TargetDirectory.open(targetDirectory)
  const extraction = new Extraction(target, options.onFile)
  try {
    const proof = new ArchiveProof()
    for await (const chunk of stoppable(source, options.signal)) {
      for (const event of proof.read(chunk)) {
        switch (event.type) {
          case 'directory':
            await target.createDirectory(event.path, event.mode)
            break
          case 'file':
            await extraction.begin(event.path, event.mode, event.sizeBytes)
            break
          case 'data':
            await extraction.write(event.bytes)
            break
          case 'fileEnd':
            await extraction.end()
            break
        }
      }
    }
    const facts = proof.finish()
    await extraction.settle()
    await target.syncDirectories()
    return facts
  } finally {
    await extraction.abandon()
    await target.close()
  }
}

/** The file being written, and those that are being synced and closed behind it. */
class Extraction {
  readonly #target: TargetDirectory
  readonly #onFile: ExtractOptions['onFile']
  readonly #closing = new Set<Promise<void>>()
  #failure: unknown
  #current: { readonly path: string; readonly sizeBytes: number; readonly handle: FileHandle } | undefined
  /** Of the current file: it is flushed before that ends. */
  readonly #writes = new GatheredWrites((bytes) => this.#writeAll(bytes))

  constructor(target: TargetDirectory, onFile: ExtractOptions['onFile']) {
    this.#target = target
    this.#onFile = onFile
  }

  async begin(path: string, mode: number, sizeBytes: number): Promise<void> {
    this.#current = { path, sizeBytes, handle: await this.#target.createFile(path, mode) }
  }

  write(bytes: Buffer): Promise<void> {
    return this.#writes.write(bytes)
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    const file = this.#current
    if (file === undefined) throw new Error('bug: bytes outside a file')
    let written = 0
    while (written < bytes.length) {
      // The system may take less than all, on a nearly full disk for one.
      const step = await this.#target.attempt(file.path, () => file.handle.write(bytes, written))
      written += step.bytesWritten
    }
  }

  async end(): Promise<void> {
    const file = this.#current
    if (file === undefined) throw new Error('bug: the end of a file outside one')
    await this.#writes.flush()
    this.#current = undefined
    const closing = this.#syncAndClose(file.path, file.handle).catch((error: unknown) => {
      this.#failure ??= error
    })
    this.#closing.add(closing)
    void closing.finally(() => this.#closing.delete(closing))
    this.#onFile?.(file.path, file.sizeBytes)
    if (this.#closing.size >= MAX_CLOSING_FILES) await Promise.race(this.#closing)
    this.#throwFailure()
  }

  /** Waits until every file is on the disk. */
  async settle(): Promise<void> {
    await Promise.all(this.#closing)
    this.#throwFailure()
  }

  /** Lets go of everything that is still open. */
  async abandon(): Promise<void> {
    const handle = this.#current?.handle
    this.#current = undefined
    await handle?.close().catch(() => {}) // we are failing already, for a better reason
    await Promise.all(this.#closing)
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  async #syncAndClose(path: string, handle: FileHandle): Promise<void> {
    try {
      await this.#target.attempt(path, () => handle.sync())
    } finally {
      await this.#target.attempt(path, () => handle.close())
    }
  }
}

/** As `untilAborted`, with a BackupError for being stopped. */
async function* stoppable(source: AsyncIterable<Buffer>, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  try {
    yield* untilAborted(source, signal)
  } catch (cause) {
    if (cause instanceof BackupError || signal?.aborted !== true || cause !== signal.reason) throw cause
    throw new BackupError(
      'CLIENT_INTERRUPTED',
      'expected to unpack the whole archive, found that it was to stop',
      {},
      { cause },
    )
  }
}
