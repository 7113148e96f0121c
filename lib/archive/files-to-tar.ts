/**
 * Turns files into a tar archive: entries whose size is known, one after the other.
 *
 * What an entry announces is binding. A file that gives fewer or more bytes has changed
 * while it was read, and then there is no archive.
 */

import { BackupError } from '../errors/index.ts'
import { MemberNames } from './member-names.ts'
import { MetadataSeen } from './metadata-seen.ts'
import { checkSafePath, showPath } from './safe-path.ts'
import { TarWriter } from './tar-writer.ts'
import type { ArchiveEntry, ArchiveMark, TarSummary } from './types.ts'

export interface FilesToTarOptions {
  /** When it says how many entries and bytes there are, it is held to that before the archive gets its end. */
  readonly mark: ArchiveMark
  /** Awaited when the last member's last byte was yielded. When it throws, the archive never gets its end. */
  beforeEnd(summary: TarSummary): Promise<void>
  /** Told when the last byte of a member was produced. */
  onMember?: ((path: string, sizeBytes: number) => void) | undefined
}

/**
 * The archive's bytes, in order. Driven from its end: no body is read while nobody asks for bytes.
 *
 * @throws BackupError `ARCHIVE_PATH_UNSAFE`, `ARCHIVE_DUPLICATE`, `ARCHIVE_LIMIT`, `ARCHIVE_MEMBER_CHANGED`;
 *   whatever the entries,
 *   their bodies or `beforeEnd` throw
 */
export async function* filesToTar(
  entries: AsyncIterable<ArchiveEntry>,
  options: FilesToTarOptions,
): AsyncGenerator<Buffer> {
  const writer = new TarWriter()
  const metadata = new MetadataSeen()
  const names = new MemberNames()
  try {
    writer.begin(options.mark)
    yield* writer.ready()
    for await (const entry of entries) {
      const path = checkSafePath(entry.path)
      names.add(path, entry.type)
      writer.openMember({ ...entry, path })
      if (entry.type === 'file') yield* writeBody(writer, entry)
      yield* writer.ready()
      metadata.see(path)
      options.onMember?.(path, entry.type === 'file' ? entry.sizeBytes : 0)
    }
    checkTotals(options.mark, writer)
    await options.beforeEnd({
      members: writer.members,
      archiveBytes: writer.archiveBytes,
      contentBytes: writer.contentBytes,
      padded: [],
      metadata: metadata.found,
      peakMemoryBytes: 0,
      peakSpoolBytes: 0,
      spooledBytes: 0,
    })
    writer.finish()
    yield* writer.ready()
  } finally {
    writer.destroy()
  }
}

async function* writeBody(writer: TarWriter, entry: ArchiveEntry): AsyncGenerator<Buffer> {
  for await (const bytes of entry.body()) {
    if (bytes.length > writer.left) throw changed(entry, 'more')
    writer.write(bytes)
    yield* writer.ready()
  }
  if (writer.left > 0) throw changed(entry, `${writer.left} fewer`)
  writer.closeMember()
}

const changed = ({ path, sizeBytes }: ArchiveEntry, found: string): BackupError =>
  new BackupError(
    'ARCHIVE_MEMBER_CHANGED',
    `expected ${sizeBytes} bytes of ${showPath(path)}, found ${found}: it changed while it was read`,
    { path, sizeBytes },
    { hint: 'stop the server, or take the backup from a snapshot' },
  )

const checkTotals = ({ entries, bytes }: ArchiveMark, { members, contentBytes }: TarWriter): void => {
  if ((entries === undefined || entries === members) && (bytes === undefined || bytes === contentBytes)) return
  throw new BackupError(
    'ARCHIVE_MEMBER_CHANGED',
    `expected ${entries ?? 'any number of'} entries of ${bytes ?? 'any number of'} bytes in all, found ${members} of ${contentBytes}`,
    { expectedEntries: entries ?? null, expectedBytes: bytes ?? null, entries: members, bytes: contentBytes },
    { hint: 'stop the server, or take the backup from a snapshot' },
  )
}
