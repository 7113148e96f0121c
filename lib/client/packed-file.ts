/**
 * How a file shows that it is compressed: by its name before it is there, by its first bytes from then on.
 *
 *     db1.tar.zst        28 b5 2f fd
 *
 * Pure.
 */

import type { Packing } from '../engines/index.ts'

/** What a name ends with. The first of each is the one we suggest. */
const SUFFIXES: Readonly<Record<Packing, readonly string[]>> = {
  gzip: ['.gz', '.tgz'],
  zstd: ['.zst', '.tzst'],
  lz4: ['.lz4'],
  xz: ['.xz', '.txz'],
}

/** Sources: RFC 1952, RFC 8878, lz4_Frame_format.md, xz-file-format.txt. */
const MAGICS: Readonly<Record<Packing, Buffer>> = {
  gzip: Buffer.of(0x1f, 0x8b),
  zstd: Buffer.of(0x28, 0xb5, 0x2f, 0xfd),
  lz4: Buffer.of(0x04, 0x22, 0x4d, 0x18),
  xz: Buffer.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00),
}

const find = (fits: (packing: Packing) => boolean): Packing | undefined => (Object.keys(MAGICS) as Packing[]).find(fits)

export const packingOfName = (path: string): Packing | undefined =>
  find((packing) => SUFFIXES[packing].some((suffix) => path.toLowerCase().endsWith(suffix)))

export const packingOfBytes = (first: Buffer): Packing | undefined =>
  find((packing) => first.subarray(0, MAGICS[packing].length).equals(MAGICS[packing]))

/** What a file that was kept compressed is, byte for byte. */
export interface PackedFacts {
  readonly packing: Packing
  readonly bytes: number
  /** Of the file, hexadecimal. */
  readonly sha256: string
}
