/**
 * Writes the header of a member: one ustar block, or a pax header in front of it.
 *
 *     0 name 100 · mode 8 · uid 8 · gid 8 · size 12 · mtime 12 · checksum 8 · type 1 (156)
 *     257 "ustar\0" "00" · owner 32 · group 32 · device 8 + 8 · prefix 155 (345)
 *
 * What does not fit into its field goes into a pax record, and then the name does too. The members of an archive differ
 * in name and size alone, mostly: the rest of the block is made once and copied, its sum with it.
 *
 * Byte for byte what the package tar-stream writes, which is the oracle of its tests. Pure. Format: PROTOCOL.md, "The
 * archive"; POSIX ustar and pax.
 */

import { BLOCK_BYTES } from './tar-header.ts'
import type { ArchiveEntry } from './types.ts'

export type TarHeader = Omit<ArchiveEntry, 'body'>

/** ustar fields: seven octal digits, of which six are used; a name of 32 bytes with its NUL. */
const MAX_USTAR_ID = 0o777777
const MAX_USTAR_OWNER_BYTES = 31
const MAX_USTAR_NAME_BYTES = 100
const MAX_USTAR_PREFIX_BYTES = 155
/** Eleven octal digits; what is larger is written in binary, as GNU tar does. */
const MAX_USTAR_SIZE = 0o77777777777
/** As far as every program reads the seconds from the field. */
const MAX_MTIME_SECONDS = 2 ** 31 - 1
const PERMISSIONS = 0o7777

const SIZE_AT = 124
const CHECKSUM_AT = 148
const TYPE_AT = 156
const PREFIX_AT = 345
/** The checksum is summed as spaces. */
const CHECKSUM_AS_SPACES = 8 * 0x20

const FILE = '0'
const DIRECTORY = '5'
const PAX = 'x'

/** Blocks of headers, in order. What was returned is the caller's. */
export class TarHeaderWriter {
  /** All but name, size and checksum, of the header before. */
  readonly #block = Buffer.alloc(BLOCK_BYTES)
  #sum = 0
  #of: (Common & { readonly type: string }) | undefined
  /** The file that the block was made for, if by `writeBlock`. */
  #before: TarHeader | undefined

  /**
   * Writes the one block that nearly all members need into memory of the caller.
   *
   * @returns its bytes; 0 when the member needs more, and what stands at `at` means nothing
   */
  writeBlock(header: TarHeader, into: Buffer, at: number): number {
    const { path } = header
    if (header.type !== 'file' || path.length > MAX_USTAR_NAME_BYTES) return 0
    if (!this.#isLikeBefore(header)) {
      const { common, records } = fitting(header)
      if (records !== '') return 0
      this.#prepare(common, FILE)
      this.#before = header
    }
    return this.#fill(into, at, path, '', header.sizeBytes) ? BLOCK_BYTES : 0
  }

  /** @returns one block for nearly all members; whole blocks in every case */
  write(header: TarHeader): Buffer {
    const isDirectory = header.type === 'directory'
    const path = isDirectory ? `${header.path}/` : header.path
    const type = isDirectory ? DIRECTORY : FILE
    const sizeBytes = isDirectory ? 0 : header.sizeBytes
    const { common, records } = fitting(header)
    // Splitting the name of a directory at its slashes would make an empty one.
    const split = records === '' && !(isDirectory && path.length > MAX_USTAR_NAME_BYTES) ? splitName(path) : undefined
    if (split !== undefined) return this.#ustar(split.name, split.prefix, common, type, sizeBytes)

    const content = Buffer.from(paxRecord('path', path) + records)
    return Buffer.concat([
      this.#ustar('PaxHeader', '', common, PAX, content.length),
      content,
      Buffer.alloc(paddingBytes(content.length)),
      this.#ustar('PaxHeader', '', common, type, sizeBytes),
    ])
  }

  #ustar(name: string, prefix: string, common: Common, type: string, sizeBytes: number): Buffer {
    this.#prepare(common, type)
    this.#before = undefined
    const block = Buffer.allocUnsafe(BLOCK_BYTES)
    this.#fill(block, 0, name, prefix, sizeBytes)
    return block
  }

  /** @returns false when the name is not in ASCII */
  #fill(block: Buffer, at: number, name: string, prefix: string, sizeBytes: number): boolean {
    block.set(this.#block, at)
    const nameSum = writeAscii(block, at, name)
    const prefixSum = writeAscii(block, at + PREFIX_AT, prefix)
    if (nameSum < 0 || prefixSum < 0) return false
    let sum = this.#sum + nameSum + prefixSum
    const sizeAt = at + SIZE_AT
    sum += sizeBytes > MAX_USTAR_SIZE ? writeBinary(block, sizeAt, sizeBytes) : writeOctal(block, sizeAt, sizeBytes, 11)
    writeOctal(block, at + CHECKSUM_AT, sum + CHECKSUM_AS_SPACES, 6)
    return true
  }

  /** Whether the block of this member differs from the last one of `writeBlock` in name and size alone. */
  #isLikeBefore({ mode, mtimeMs, uid, gid, uname, gname }: TarHeader): boolean {
    const before = this.#before
    return (
      before !== undefined &&
      before.mode === mode &&
      before.mtimeMs === mtimeMs &&
      before.uid === uid &&
      before.gid === gid &&
      before.uname === uname &&
      before.gname === gname
    )
  }

  /** What nearly every member has in common is written when it changes. */
  #prepare(common: Common, type: string): void {
    const { mode, uid, gid, seconds, uname, gname } = common
    const of = this.#of
    const isSame =
      of?.type === type &&
      of.mode === mode &&
      of.uid === uid &&
      of.gid === gid &&
      of.seconds === seconds &&
      of.uname === uname &&
      of.gname === gname
    if (isSame) return
    const block = this.#block.fill(0)
    writeOctal(block, 100, mode, 6)
    writeOctal(block, 108, uid, 6)
    writeOctal(block, 116, gid, 6)
    writeOctal(block, 136, seconds, 11)
    block.write(type, TYPE_AT, 'latin1')
    block.write('ustar\x0000', 257, 'latin1')
    block.write(uname, 265, 'latin1')
    block.write(gname, 297, 'latin1')
    writeOctal(block, 329, 0, 6)
    writeOctal(block, 337, 0, 6)
    this.#sum = block.reduce((sum, byte) => sum + byte, 0)
    this.#of = { ...common, type }
  }
}

/** Bytes of zeros behind a body, up to whole blocks. */
export const paddingBytes = (bodyBytes: number): number => (BLOCK_BYTES - (bodyBytes % BLOCK_BYTES)) % BLOCK_BYTES

interface Common {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly seconds: number
  readonly uname: string
  readonly gname: string
}

/** What the fields hold, and pax records for what they cannot hold. */
const fitting = (header: TarHeader): { common: Common; records: string } => {
  let records = ''
  const seconds = Math.floor(header.mtimeMs / 1000)
  const ustarSeconds = Math.min(Math.max(seconds, 0), MAX_MTIME_SECONDS)
  if (seconds !== ustarSeconds) records += paxRecord('mtime', String(seconds))
  for (const key of ['uid', 'gid'] as const) {
    if (header[key] > MAX_USTAR_ID) records += paxRecord(key, String(header[key]))
  }
  const owner = (key: 'uname' | 'gname'): string => {
    const name = header[key] ?? ''
    if (isAscii(name) && name.length <= MAX_USTAR_OWNER_BYTES) return name
    records += paxRecord(key, name)
    return ''
  }
  const common = {
    mode: header.mode & PERMISSIONS,
    uid: Math.min(header.uid, MAX_USTAR_ID),
    gid: Math.min(header.gid, MAX_USTAR_ID),
    seconds: ustarSeconds,
    uname: owner('uname'),
    gname: owner('gname'),
  }
  return { common, records }
}

/** In the field, or cut at a slash into prefix and name; undefined when it fits neither way. */
const splitName = (path: string): { name: string; prefix: string } | undefined => {
  if (!isSevenBit(path)) return undefined
  if (path.length <= MAX_USTAR_NAME_BYTES) return { name: path, prefix: '' }
  // The first slash behind which there is little enough left.
  const slash = path.indexOf('/', path.length - MAX_USTAR_NAME_BYTES - 1)
  if (slash === -1 || slash > MAX_USTAR_PREFIX_BYTES) return undefined
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) }
}

const isAscii = (text: string): boolean => /^[\u0020-\u007e]*$/.test(text)

const isSevenBit = (text: string): boolean => /^[\u0000-\u007f]*$/.test(text)

/** `LENGTH key=value\n`, where LENGTH counts itself. */
const paxRecord = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`
  const restBytes = Buffer.byteLength(rest)
  let bytes = restBytes + 1
  while (String(bytes).length + restBytes !== bytes) bytes = String(bytes).length + restBytes
  return `${bytes}${rest}`
}

/** @returns the sum of what was written, as the two below; -1 when it is no ASCII */
const writeAscii = (block: Buffer, at: number, text: string): number => {
  let sum = 0
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return -1
    block[at + index] = code
    sum += code
  }
  return sum
}

/** So many digits, then a space; the field's last byte stays as it is. */
const writeOctal = (block: Buffer, at: number, value: number, digits: number): number => {
  let sum = 0x20
  let rest = value
  block[at + digits] = 0x20
  let index = at + digits - 1
  // As whole numbers of 32 bits, once it is one.
  for (; index >= at && rest > 0x7fffffff; index -= 1) {
    const high = Math.floor(rest / 8)
    const digit = 0x30 + rest - high * 8
    block[index] = digit
    sum += digit
    rest = high
  }
  for (let bits = rest | 0; index >= at; index -= 1) {
    const digit = 0x30 + (bits & 7)
    block[index] = digit
    sum += digit
    bits >>= 3
  }
  return sum
}

/** Big-endian, the top bit saying so. */
const writeBinary = (block: Buffer, at: number, value: number): number => {
  block[at] = 0x80
  let sum = 0x80
  let rest = value
  for (let index = at + 11; index > at; index -= 1) {
    const byte = rest % 256
    block[index] = byte
    sum += byte
    rest = Math.floor(rest / 256)
  }
  return sum
}
