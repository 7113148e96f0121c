/**
 * The receipt as a file beside its archive: written before the archive gets its name, and
 * held against the archive years later, with nobody to be asked.
 *
 *     FILE.part  FILE.receipt.part ─▶ FILE.receipt ─▶ FILE
 *
 * So a FILE that is there has its receipt. A FILE.receipt without a FILE is what a run left
 * that was killed between the two; it is replaced.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import type { ArchiveFacts } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import type { ArchiveFile } from './archive-file.ts'
import type { PackedFacts } from './packed-file.ts'
import { PartFile } from './part-file.ts'
import { noReceipt, parseReceipt, type Receipt, writeReceiptText } from './receipt.ts'
import type { ArchiveFormat } from './request.ts'

/** Where the receipt of an archive lies, unless somebody says otherwise. */
export const receiptPath = (archivePath: string): string => `${archivePath}.receipt`

/** A receipt is a kilobyte, and some more where a server has many GTIDs. */
const MAX_RECEIPT_BYTES = 1024 * 1024

/** A receipt that is going to be written. */
export class ReceiptFile {
  readonly #part: PartFile

  private constructor(part: PartFile) {
    this.#part = part
  }

  /**
   * To be made before a backup is asked for: a receipt that cannot be would waste it.
   *
   * @throws BackupError `CLIENT_TARGET`, `CLIENT_WRITE`
   */
  static async create(path: string, replace: boolean): Promise<ReceiptFile> {
    return new ReceiptFile(await PartFile.create(path, { replace }))
  }

  /** Writes it, makes it durable and gives it its name. */
  async keep(receipt: Receipt): Promise<void> {
    await this.#part.write(Buffer.from(writeReceiptText(receipt)))
    await this.#part.commit()
  }

  /** Takes it away, whether it has its name or not. Never throws. */
  discard(): Promise<void> {
    return this.#part.withdraw()
  }
}

/** Whether a file is a receipt by its first byte: no archive begins like JSON. @throws BackupError `CLI_FILE` */
export const isReceiptFile = async (path: string): Promise<boolean> => {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, 0)
    return bytesRead === 1 && buffer.toString('latin1') === '{'
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new BackupError('CLI_FILE', `cannot read ${path}: ${errno}`, { path }, { cause })
  } finally {
    await handle?.close()
  }
}

/**
 * The receipt of an archive.
 *
 * @param named where somebody says that it lies; else it may lie beside the archive, or not be there
 * @throws BackupError `CLIENT_RECEIPT` when it is none; `CLI_FILE` when it cannot be read
 */
export const findReceipt = async (archivePath: string, named: string | undefined): Promise<Receipt | undefined> => {
  const path = named ?? receiptPath(archivePath)
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe would wait for somebody to write
    const found = await handle.stat()
    if (!found.isFile()) throw noReceipt(path, 'it is not a file')
    if (found.size > MAX_RECEIPT_BYTES) throw noReceipt(path, `it has ${found.size} bytes`)
    return parseReceipt(await handle.readFile('utf8'), path)
  } catch (cause) {
    if (cause instanceof BackupError) throw cause
    const errno = (cause as NodeJS.ErrnoException).code ?? String(cause)
    if (errno === 'ENOENT' && named === undefined) return undefined
    throw new BackupError('CLI_FILE', `cannot read the receipt ${path}: ${errno}`, { path }, { cause })
  } finally {
    await handle?.close()
  }
}

/**
 * Holds a file against its receipt before it is read: another length tells enough.
 *
 * An archive that somebody has compressed or decompressed since has another length, and is still what was fetched.
 *
 * @throws BackupError `CLIENT_RECEIPT`
 */
export const checkSize = (
  receipt: Receipt | undefined,
  { path, sizeBytes, packing }: Pick<ArchiveFile, 'path' | 'sizeBytes' | 'packing'>,
): void => {
  if (receipt === undefined) return
  const expected = packing === undefined ? receipt.bytes : receipt.packed?.bytes
  if (expected === undefined || expected === sizeBytes) return
  throw differs(path, `${expected} bytes`, `${sizeBytes}`)
}

/**
 * Holds a file that was read, and is whole by itself, against its receipt.
 *
 * @throws BackupError `CLIENT_RECEIPT`
 */
export const checkReceipt = (
  receipt: Receipt | undefined,
  read: {
    readonly path: string
    readonly sha256: string
    readonly format: ArchiveFormat
    readonly facts: ArchiveFacts
    /** Of a compressed file. */
    readonly packed: PackedFacts | undefined
  },
): void => {
  if (receipt === undefined) return
  const { path, sha256, format, facts, packed } = read
  if (packed !== undefined && receipt.packed !== undefined && packed.sha256 !== receipt.packed.sha256) {
    throw differs(path, `the digest ${receipt.packed.sha256} as a ${receipt.packed.packing} file`, packed.sha256)
  }
  if (receipt.bytes !== facts.bytes) throw differs(path, `${receipt.bytes} bytes of archive`, `${facts.bytes}`)
  if (receipt.sha256 !== sha256) throw differs(path, `the digest ${receipt.sha256}`, sha256)
  // The bytes are right, so a receipt that differs in these has been changed itself.
  if (receipt.format !== format) throw differs(path, `the format ${receipt.format}`, format)
  if (receipt.entries !== facts.members) throw differs(path, `${receipt.entries} entries`, `${facts.members}`)
  if (receipt.files !== facts.files) throw differs(path, `${receipt.files} files`, `${facts.files}`)
  for (const [what, said, found] of positions(receipt, facts)) {
    // Where a receipt says nothing there is nothing to differ from: its reader may have understood less than we do.
    if (said !== undefined && said !== found) throw differs(path, `${what} ${said}`, `${found ?? 'none'}`)
  }
}

/** Where the backup stands: as the receipt says, and as the backup program's own files in the archive say. */
const positions = (
  { coordinates, lsn, backupType, base }: Receipt,
  facts: ArchiveFacts,
): readonly (readonly [what: string, said: string | number | undefined, found: string | number | undefined])[] => [
  ['the binary log', coordinates.binlogFile, facts.coordinates.binlogFile],
  ['the binary log position', coordinates.binlogPosition, facts.coordinates.binlogPosition],
  ['the GTID', coordinates.gtid, facts.coordinates.gtid],
  ['changes from the LSN', lsn.from, facts.lsn.from],
  ['changes up to the LSN', lsn.to, facts.lsn.to],
  ['a redo log up to the LSN', lsn.last, facts.lsn.last],
  ['the kind', backupType, facts.backupType],
  ['a base that ends at the LSN', base?.lsn, facts.lsn.from],
]

/** @throws BackupError `CLIENT_NO_VERDICT` unless the receipt holds an agent's verdict */
export const requireVerdict = (receipt: Receipt | undefined, path: string): void => {
  if (receipt?.proof === 'agent-verdict') return
  const found = receipt === undefined ? 'no receipt beside it' : 'a receipt without one'
  throw new BackupError(
    'CLIENT_NO_VERDICT',
    `expected the verdict of an agent for ${path}, found ${found}`,
    { path },
    { hint: 'only a backup that came framed, from an agent of protocol 0.77 or later, has one' },
  )
}

const differs = (path: string, expected: string, found: string): BackupError =>
  new BackupError(
    'CLIENT_RECEIPT',
    `expected ${path} to have ${expected}, as its receipt says, found ${found}`,
    { path },
    { hint: 'the file is not what was fetched: take another copy of it, or another backup' },
  )
