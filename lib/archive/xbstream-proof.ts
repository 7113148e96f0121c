/**
 * Proves that an xbstream is a whole backup, from its bytes alone, while they pass.
 *
 *     1. a whole xbstream: every chunk in its place, with the checksum it says, and every file closed
 *     2. safe names, none of them twice, none below another file
 *     3. the files that the backup program writes last are there, and are not empty
 *
 * An xbstream has no end of its own, so the third counts for more than in a tar: one that was cut between two chunks,
 * with no file open, is only told by what is missing then. The backup programs keep the redo log open to the end.
 *
 * What is wrong is said in the words of an archive, so that a receiver need not know which format broke: `ARCHIVE_*`.
 * Pure. Keeps all names and up to 64 KiB of each metadata file. Source of the rules: PROTOCOL.md, "The archive".
 */

import { BackupError, type ErrorCode } from '../errors/index.ts'
import type { ArchiveFacts } from './archive-proof.ts'
import { MemberNames } from './member-names.ts'
import {
  firstMissing,
  type MetadataRole,
  metadataRole,
  parseBackupType,
  parseBinlogInfo,
  parseCheckpoints,
  parseInfo,
} from './metadata.ts'
import { MetadataSeen } from './metadata-seen.ts'
import { type XbEvent, XbstreamReader } from './xbstream-reader.ts'

/** What is known about an xbstream that was proven whole. There is no mark in one; its members are all files. */
export interface XbstreamFacts extends ArchiveFacts {
  readonly mark: undefined
  /** Of the backup program, as it wrote it down. */
  readonly engineVersion: string | undefined
}

/** A metadata file is a kilobyte; MySQL's sets of GTIDs can be longer. What is longer still is not read. */
const MAX_METADATA_BYTES = 64 * 1024

/** A metadata file that has bytes and is not closed yet. */
interface OpenMetadata {
  readonly role: MetadataRole
  sizeBytes: number
  /** Empty from the moment it is too long to be kept. */
  pieces: Buffer[]
}

export class XbstreamProof {
  readonly #reader = new XbstreamReader()
  readonly #names = new MemberNames()
  readonly #metadata = new MetadataSeen()
  readonly #open = new Map<string, OpenMetadata>()
  readonly #texts = new Map<MetadataRole, string>()
  #contentBytes = 0

  /**
   * Reads the stream on. Nothing of the chunk is kept.
   *
   * @throws BackupError `ARCHIVE_*`, at the first byte that shows that the stream is not whole
   */
  push(chunk: Buffer): void {
    asArchive(() => {
      for (const event of this.#reader.push(chunk)) this.#take(event)
    })
  }

  /**
   * Says that nothing more will come.
   *
   * @throws BackupError `ARCHIVE_TRUNCATED`, `ARCHIVE_METADATA_MISSING`: one sentence that says why this is no whole backup
   */
  finish(): XbstreamFacts {
    asArchive(() => this.#reader.end())
    this.#checkMetadata()
    const info = parseInfo(this.#texts.get('info') ?? '')
    return {
      mark: undefined,
      members: this.#reader.files,
      files: this.#reader.files,
      bytes: this.#reader.bytesRead,
      contentBytes: this.#contentBytes,
      engine: info.engine ?? 'unknown',
      engineVersion: info.engineVersion,
      coordinates: { ...info.coordinates, ...parseBinlogInfo(this.#texts.get('binlogInfo') ?? '') },
      lsn: parseCheckpoints(this.#texts.get('checkpoints') ?? ''),
      backupType: parseBackupType(this.#texts.get('checkpoints') ?? ''),
    }
  }

  #take(event: XbEvent): void {
    switch (event.type) {
      case 'data':
        this.#contentBytes += event.bytes.length
        this.#keep(event.path, event.bytes.length, () => Buffer.from(event.bytes)) // a copy: the chunk is only lent
        break
      case 'hole':
        this.#contentBytes += event.zeroBytes
        this.#keep(event.path, event.zeroBytes, () => Buffer.alloc(event.zeroBytes))
        break
      case 'end':
        this.#names.add(event.path, 'file')
        this.#close(event.path)
        break
    }
  }

  #keep(path: string, sizeBytes: number, bytes: () => Buffer): void {
    const role = metadataRole(path)
    if (role === undefined) return
    const file = this.#open.get(path) ?? { role, sizeBytes: 0, pieces: [] }
    this.#open.set(path, file)
    file.sizeBytes += sizeBytes
    if (role === 'redoLog') return // gigabytes, and no text
    if (file.sizeBytes > MAX_METADATA_BYTES) file.pieces = []
    else file.pieces.push(bytes())
  }

  #close(path: string): void {
    const file = this.#open.get(path)
    this.#open.delete(path)
    // Not seen before its end: empty. Such a one says nothing, the program that should have written it was stopped.
    if (file === undefined) return
    this.#metadata.see(path)
    this.#texts.set(file.role, Buffer.concat(file.pieces).toString('utf8'))
  }

  #checkMetadata(): void {
    const missing = firstMissing(this.#metadata.found)
    if (missing === undefined) return
    throw new BackupError(
      'ARCHIVE_METADATA_MISSING',
      `expected the file ${missing} at the top of the xbstream, found ${this.#reader.files} files without it`,
      { members: this.#reader.files },
      { hint: 'the backup program had not finished when this stream was made, or it is no backup: make a new one' },
    )
  }
}

/** What the reader calls by its own names: an agent that meets it has failed, a receiver has no whole backup. */
const ARCHIVE_CODE: Partial<Record<ErrorCode, ErrorCode>> = {
  XBSTREAM_CORRUPT: 'ARCHIVE_CORRUPT',
  XBSTREAM_CHECKSUM: 'ARCHIVE_CORRUPT',
  XBSTREAM_OFFSET: 'ARCHIVE_CORRUPT',
  XBSTREAM_CHUNK_UNKNOWN: 'ARCHIVE_CORRUPT',
  XBSTREAM_AFTER_END: 'ARCHIVE_DUPLICATE',
  XBSTREAM_TRUNCATED: 'ARCHIVE_TRUNCATED',
  XBSTREAM_FILE_OPEN: 'ARCHIVE_TRUNCATED',
  XBSTREAM_LIMIT: 'ARCHIVE_LIMIT',
}

const asArchive = (read: () => void): void => {
  try {
    read()
  } catch (error) {
    const code = error instanceof BackupError ? ARCHIVE_CODE[error.code] : undefined
    if (!(error instanceof BackupError) || code === undefined) throw error
    throw new BackupError(code, error.message, { ...error.facts, xbstream: error.code }, { cause: error })
  }
}
