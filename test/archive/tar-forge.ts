/** Archives made by hand, so that anything can be wrong with them. */

import { commentHeader, encodeMark } from '../../lib/archive/archive-mark.ts'
import type { ArchiveMark } from '../../lib/archive/types.ts'

export interface Forged {
  readonly name?: string | Buffer
  readonly typeflag?: string
  /** A number is written in octal; a Buffer stands as it is. */
  readonly size?: number | Buffer
  readonly mode?: number
  readonly mtime?: number | Buffer
  readonly linkName?: string
  readonly prefix?: string
  readonly magic?: string
  /** Added to the right checksum. */
  readonly checksumOff?: number
}

export const POSIX = 'ustar\x0000'
export const GNU = 'ustar  \0'
export const V7 = '\0\0\0\0\0\0\0\0'

/** The end of every archive. */
export const END = Buffer.alloc(1024)

/** One header block with a right checksum, unless told otherwise. */
export const header = (forged: Forged = {}): Buffer => {
  const block = Buffer.alloc(512)
  put(block, 0, forged.name ?? 'file')
  block.write(`${(forged.mode ?? 0o640).toString(8).padStart(7, '0')}\0`, 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  put(block, 124, octal(forged.size ?? 0))
  put(block, 136, octal(forged.mtime ?? 1_700_000_000))
  block.write('        ', 148)
  block.write(forged.typeflag ?? '0', 156)
  block.write(forged.linkName ?? '', 157)
  block.write(forged.magic ?? POSIX, 257)
  block.write(forged.prefix ?? '', 345)
  const sum = block.reduce((total, byte) => total + byte, 0) + (forged.checksumOff ?? 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** A header and its padded body. The size is the body's, unless told otherwise. */
export const member = (forged: Forged = {}, body: Buffer | string = ''): Buffer => {
  const bytes = Buffer.from(body)
  return Buffer.concat([header({ size: bytes.length, ...forged }), padded(bytes)])
}

/** A pax header of type `x` or `g`. */
export const pax = (records: readonly (readonly [key: string, value: string])[], typeflag = 'x'): Buffer =>
  member({ name: 'PaxHeader', typeflag }, records.map(([key, value]) => paxRecord(key, value)).join(''))

/** `LENGTH key=value\n`, where LENGTH counts itself. */
export const paxRecord = (key: string, value: string): string => {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + 1
  while (String(length).length + rest !== length) length = String(length).length + rest
  return `${length} ${key}=${value}\n`
}

/** GNU's long name (`L`) or long link (`K`). */
export const long = (typeflag: 'L' | 'K', name: string): Buffer =>
  member({ name: '././@LongLink', typeflag, magic: GNU }, `${name}\0`)

export const archive = (...members: readonly Buffer[]): Buffer => Buffer.concat([...members, END])

export const MARK: ArchiveMark = {
  product: 'kv-backup-agent/0.1.0',
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
}

export const mark = (changes: Partial<ArchiveMark> = {}): Buffer => commentHeader(encodeMark({ ...MARK, ...changes }))

/** As mariadb-backup 10.11.19 writes them, shortened. */
export const METADATA: Readonly<Record<string, string>> = {
  xtrabackup_checkpoints: 'backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 44420\nlast_lsn = 50474\n',
  xtrabackup_info: 'tool_name = mariadb-backup\ntool_version = 10.11.19-MariaDB\n',
  'backup-my.cnf': '[mysqld]\ninnodb_page_size=16384\n',
  ib_logfile0: 'redo',
  xtrabackup_binlog_info: 'mybin.000002\t542\t0-1-7\n',
}

export const metadataMembers = (names: readonly string[] = Object.keys(METADATA)): Buffer[] =>
  names.map((name) => member({ name }, METADATA[name] ?? 'text'))

/** The smallest thing that is a whole backup, with a mark, a directory, an empty file and a name in a pax header. */
export const wholeBackup = (): Buffer =>
  archive(
    mark(),
    member({ name: 'shop/', typeflag: '5', mode: 0o750 }),
    pax([['path', 'shop/größe.ibd']]),
    member({ name: 'shop/gr' }, 'x'.repeat(700)),
    member({ name: 'shop/empty.CSV' }),
    ...metadataMembers(),
  )

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])

const octal = (value: number | Buffer): Buffer =>
  typeof value === 'number' ? Buffer.from(`${value.toString(8).padStart(11, '0')}\0`) : value

const put = (block: Buffer, at: number, value: string | Buffer): void => {
  Buffer.from(value).copy(block, at)
}
