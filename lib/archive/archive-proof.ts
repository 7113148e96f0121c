/**
 * Proves that an archive is a whole backup, from its bytes alone, while they pass.
 *
 *     1. a whole tar: every header right, both zero blocks at the end, nothing behind them
 *     2. files and directories only, under safe names, none of them twice
 *     3. the files that the backup program writes last are there, or,
 *        for an archive of a directory, as many members and bytes as its mark says
 *
 * The third is needed because a backup that broke off can still be a whole tar of an incomplete set of files. Whoever
 * fetches, verifies or unpacks an archive asks here, so that one answer holds for all three.
 *
 * Archives that other programs made of an unpacked backup are taken too: they have no mark, begin their names with
 * `./` and hold directories. What the proof cannot see is a changed byte inside a file: tar has no checksum for bodies.
 *
 * Pure. Keeps all names and up to 64 KiB of each metadata file. Source of the rules: PROTOCOL.md, "The archive".
 */

import { BackupError } from '../errors/index.ts'
import { MemberNames } from './member-names.ts'
import {
  type Coordinates,
  firstMissing,
  type LogSequenceNumbers,
  type MetadataRole,
  metadataRole,
  parseBackupType,
  parseBinlogInfo,
  parseCheckpoints,
  parseInfo,
} from './metadata.ts'
import { MetadataSeen } from './metadata-seen.ts'
import { checkSafePath, showPath } from './safe-path.ts'
import { type TarMember, TarReader } from './tar-reader.ts'
import type { ArchiveMark } from './types.ts'

/** What is known about an archive that was proven whole. */
export interface ArchiveFacts {
  /** Absent when another program wrote the archive. */
  readonly mark: ArchiveMark | undefined
  /** Files and directories. */
  readonly members: number
  readonly files: number
  /** Of the archive, padding after its end included. */
  readonly bytes: number
  /** Sum of the sizes of all files. */
  readonly contentBytes: number
  /** From the mark, else from what the backup program wrote about itself, else `unknown`. */
  readonly engine: string
  readonly coordinates: Coordinates
  readonly lsn: LogSequenceNumbers
  /** What the backup program calls it: `full-backuped`, `incremental`; absent where it does not say. */
  readonly backupType?: string | undefined
}

/** What `read` hands on. The path is safe, without `./`; the archive's own root is never handed on. */
export type ProvenEvent =
  | { readonly type: 'directory'; readonly path: string; readonly mode: number }
  | { readonly type: 'file'; readonly path: string; readonly mode: number; readonly sizeBytes: number }
  | { readonly type: 'data'; readonly bytes: Buffer }
  | { readonly type: 'fileEnd' }

/** A metadata file is a kilobyte; MySQL's sets of GTIDs can be longer. What is longer still is not read. */
const MAX_METADATA_BYTES = 64 * 1024

const DATA_ENGINES: readonly string[] = ['mariadb-backup', 'xtrabackup']

export class ArchiveProof {
  readonly #reader = new TarReader()
  readonly #names = new MemberNames()
  readonly #metadata = new MetadataSeen()
  readonly #texts = new Map<MetadataRole, string>()
  #kept: { readonly role: MetadataRole; readonly pieces: Buffer[] } | undefined
  #inFile = false
  #hasRoot = false
  #mark: ArchiveMark | undefined
  #members = 0
  #files = 0
  #contentBytes = 0

  /**
   * Reads the archive on. Nothing of the chunk is kept.
   *
   * @throws BackupError `ARCHIVE_*`, at the first byte that shows that the archive is not whole
   */
  push(chunk: Buffer): void {
    for (const _ of this.read(chunk)) {
      // Only the checks are wanted.
    }
  }

  /**
   * Reads the archive on, and hands on what was found right. The events must be taken to the end.
   *
   * What was handed on is not proven yet: only `finish` says that the archive is whole.
   */
  *read(chunk: Buffer): Generator<ProvenEvent, void, undefined> {
    for (const event of this.#reader.push(chunk)) {
      switch (event.type) {
        case 'mark':
          this.#takeMark(event.mark)
          break
        case 'member': {
          const path = this.#takeMember(event.member)
          if (path === undefined) break
          const { type, mode, sizeBytes } = event.member
          yield type === 'file' ? { type, path, mode, sizeBytes } : { type: 'directory', path, mode }
          break
        }
        case 'data':
          this.#kept?.pieces.push(Buffer.from(event.bytes)) // a copy: the chunk is only lent
          yield event
          break
        case 'memberEnd':
          if (!this.#inFile) break
          this.#inFile = false
          this.#endKept()
          yield { type: 'fileEnd' }
          break
        case 'end':
          break
      }
    }
  }

  /**
   * Says that nothing more will come.
   *
   * @throws BackupError `ARCHIVE_TRUNCATED`, `ARCHIVE_METADATA_MISSING`, `ARCHIVE_CORRUPT`: one sentence that says why
   *   this is no whole backup
   */
  finish(): ArchiveFacts {
    this.#reader.finish()
    this.#checkNumbers()
    if (this.#mark === undefined || DATA_ENGINES.includes(this.#mark.engine)) this.#checkMetadata()

    const info = parseInfo(this.#texts.get('info') ?? '')
    return {
      mark: this.#mark,
      members: this.#members,
      files: this.#files,
      bytes: this.#reader.offset,
      contentBytes: this.#contentBytes,
      engine: this.#mark?.engine ?? info.engine ?? 'unknown',
      coordinates: { ...info.coordinates, ...parseBinlogInfo(this.#texts.get('binlogInfo') ?? '') },
      lsn: parseCheckpoints(this.#texts.get('checkpoints') ?? ''),
      backupType: parseBackupType(this.#texts.get('checkpoints') ?? ''),
    }
  }

  /** It opens an archive: one that comes later was put there by somebody who glued archives together. */
  #takeMark(mark: ArchiveMark): void {
    if (this.#mark !== undefined || this.#members > 0) {
      throw new BackupError(
        'ARCHIVE_CORRUPT',
        `expected one mark, at the start of the archive, found another at byte ${this.#reader.offset}`,
        { offset: this.#reader.offset },
      )
    }
    this.#mark = mark
  }

  /** @returns undefined for the archive's own root, which `tar -c .` writes as `./` */
  #takeMember(member: TarMember): string | undefined {
    this.#members += 1
    if (member.type === 'directory' && member.path === '.') {
      if (this.#hasRoot) throw new BackupError('ARCHIVE_DUPLICATE', 'expected "." once in the archive, found it twice')
      this.#hasRoot = true
      return undefined
    }
    const path = checkSafePath(member.path)
    if (member.type !== 'file' && member.type !== 'directory') {
      throw new BackupError(
        'ARCHIVE_MEMBER_REFUSED',
        `expected files and directories, found ${showPath(path)} to be ${member.type === 'unknown' ? 'of an unknown type' : `a ${member.type}`}`,
        { path: showPath(path), type: member.type },
      )
    }
    this.#names.add(path, member.type)
    if (member.type === 'directory') return path

    this.#files += 1
    this.#inFile = true
    this.#contentBytes += member.sizeBytes
    // An empty one says nothing: the program that should have written it was stopped.
    if (member.sizeBytes > 0) this.#metadata.see(path)
    const role = metadataRole(path)
    if (role !== undefined && role !== 'redoLog' && member.sizeBytes <= MAX_METADATA_BYTES) {
      this.#kept = { role, pieces: [] }
    }
    return path
  }

  #endKept(): void {
    if (this.#kept === undefined) return
    this.#texts.set(this.#kept.role, Buffer.concat(this.#kept.pieces).toString('utf8'))
    this.#kept = undefined
  }

  /** The mark's numbers, where it has some. An archive of a directory must have them: nothing else speaks for it. */
  #checkNumbers(): void {
    if (this.#mark === undefined) return
    const { engine, entries, bytes } = this.#mark
    if (!DATA_ENGINES.includes(engine) && (entries === undefined || bytes === undefined)) {
      throw new BackupError(
        'ARCHIVE_METADATA_MISSING',
        `expected the mark of an archive of ${showPath(engine)} to say how many members and bytes there are, found it without`,
        { engine },
      )
    }
    const isRight = (entries ?? this.#members) === this.#members && (bytes ?? this.#contentBytes) === this.#contentBytes
    if (isRight) return
    throw new BackupError(
      'ARCHIVE_METADATA_MISSING',
      `expected ${entries ?? 'some'} members with ${bytes ?? 'some'} bytes, as the mark says, found ${this.#members} with ${this.#contentBytes}`,
      { members: this.#members, contentBytes: this.#contentBytes },
    )
  }

  #checkMetadata(): void {
    const missing = firstMissing(this.#metadata.found)
    if (missing === undefined) return
    throw new BackupError(
      'ARCHIVE_METADATA_MISSING',
      `expected the file ${missing} at the top of the archive, found ${this.#members} members without it`,
      { members: this.#members },
      { hint: 'the backup program had not finished when this archive was made, or it is no backup: make a new one' },
    )
  }
}
