/**
 * What the client can say about a backup that it has received whole.
 *
 * Pure. The field names are what `--json` prints, so scripts count on them.
 */

import type { ArchiveFacts } from '../archive/index.ts'
import type { EncodingName } from '../encodings/index.ts'

export interface Receipt {
  readonly status: 'COMPLETE'
  /** The file or directory that holds the backup; absent when it went to standard output. */
  readonly path?: string
  readonly sid: string | undefined
  readonly encoding: EncodingName
  /** Bytes of the archive, before encoding. */
  readonly bytes: number
  /** Digest of exactly these bytes, hexadecimal. */
  readonly sha256: string
  /** Files in the archive. */
  readonly files: number
  readonly engine: string
  readonly engineVersion: string | undefined
  /** Where to go on in the binary log; empty when the server writes none. */
  readonly coordinates: ArchiveFacts['coordinates']
  readonly lsn: ArchiveFacts['lsn']
  readonly seconds: number
}

/** Digest and time as measured by who received the bytes, the rest from the archive itself. */
export const makeReceipt = (
  facts: ArchiveFacts,
  measured: Pick<Receipt, 'sid' | 'encoding' | 'sha256' | 'seconds'> & { readonly path: string | undefined },
): Receipt => ({
  status: 'COMPLETE',
  ...(measured.path === undefined ? {} : { path: measured.path }),
  sid: measured.sid,
  encoding: measured.encoding,
  bytes: facts.bytes,
  sha256: measured.sha256,
  files: facts.files,
  engine: facts.engine,
  engineVersion: facts.mark?.engineVersion,
  coordinates: facts.coordinates,
  lsn: facts.lsn,
  seconds: measured.seconds,
})
