/**
 * A data directory of about 100 kB, for the engine `directory`: small enough to be cut at every byte,
 * with everything in it that a tar writes differently.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { pattern } from '../archive/converting.ts'

/** Sizes around the block of a tar, an empty file, and one that is most of it. */
const FILES: readonly (readonly [path: string, sizeBytes: number])[] = [
  ['ibdata1', 58_000],
  ['shop/db.opt', 65],
  ['shop/empty.CSV', 0],
  ['shop/one-block.frm', 512],
  ['shop/one-more.frm', 513],
  ['shop/orders.ibd', 24_576],
  [`shop/${'a-name-that-needs-a-header-of-its-own-'.repeat(3)}größe.ibd`, 5_000],
  ['shop/last.MYD', 1],
]

/** @returns bytes of all files */
export const fillSmallSource = (directory: string, scale = 1): number => {
  mkdirSync(join(directory, 'shop'), { recursive: true })
  let total = 0
  for (const [index, [path, sizeBytes]] of FILES.entries()) {
    const bytes = Math.floor(sizeBytes * (sizeBytes > 1000 ? scale : 1))
    writeFileSync(join(directory, path), pattern(bytes, index + 1))
    total += bytes
  }
  return total
}
