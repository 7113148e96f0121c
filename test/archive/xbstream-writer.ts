/**
 * Writes xbstream chunks for tests, right ones and wrong ones.
 *
 * Written from the format's description, not from the reader; that the two agree with
 * the world is shown by tests that read what `mbstream -c` and `mariadb-backup` write,
 * and by one that lets `mbstream -x` read what is written here.
 */

import { crc32 } from 'node:zlib'

/** What a chunk claims when the truth will not do. */
export interface Claims {
  readonly magic?: string
  readonly flags?: number
  readonly type?: string
  readonly pathBytes?: number
  readonly mapEntries?: number
  readonly payloadBytes?: bigint
  readonly offset?: bigint
  readonly crc?: number
}

const head = (type: string, path: string | Buffer, claims: Claims): Buffer => {
  const name = Buffer.from(path)
  const fixed = Buffer.alloc(14)
  fixed.write(claims.magic ?? 'XBSTCK01', 'latin1')
  fixed.writeUInt8(claims.flags ?? 0, 8)
  fixed.write(claims.type ?? type, 9, 'latin1')
  fixed.writeUInt32LE(claims.pathBytes ?? name.length, 10)
  return Buffer.concat([fixed, name])
}

const lengths = (offset: number, payload: Buffer, crc: number, claims: Claims): Buffer => {
  const fixed = Buffer.alloc(20)
  fixed.writeBigUInt64LE(claims.payloadBytes ?? BigInt(payload.length), 0)
  fixed.writeBigUInt64LE(claims.offset ?? BigInt(offset), 8)
  fixed.writeUInt32LE(claims.crc ?? crc, 16)
  return fixed
}

/** A `P` chunk. */
export const payloadChunk = (path: string | Buffer, offset: number, payload: Buffer, claims: Claims = {}): Buffer =>
  Buffer.concat([head('P', path, claims), lengths(offset, payload, crc32(payload), claims), payload])

/** An `S` chunk, as Percona writes it: `map` holds pairs of bytes to skip and bytes to write. */
export const sparseChunk = (
  path: string,
  offset: number,
  map: readonly (readonly [skip: number, write: number])[],
  payload: Buffer,
  claims: Claims = {},
): Buffer => {
  const count = Buffer.alloc(4)
  count.writeUInt32LE(claims.mapEntries ?? map.length)
  const entries = Buffer.alloc(map.length * 8)
  for (const [index, [skip, write]] of map.entries()) {
    entries.writeUInt32LE(skip, index * 8)
    entries.writeUInt32LE(write, index * 8 + 4)
  }
  const crc = crc32(payload, crc32(entries))
  return Buffer.concat([head('S', path, claims), count, lengths(offset, payload, crc, claims), entries, payload])
}

/** An `E` chunk: the file is whole. */
export const endChunk = (path: string, claims: Claims = {}): Buffer => head('E', path, claims)

/** A whole file in chunks of `chunkBytes`. */
export const fileChunks = (path: string, content: Buffer, chunkBytes = 10 * 1024 * 1024): Buffer => {
  const chunks: Buffer[] = []
  for (let at = 0; at < content.length; at += chunkBytes) {
    chunks.push(payloadChunk(path, at, content.subarray(at, at + chunkBytes)))
  }
  return Buffer.concat([...chunks, endChunk(path)])
}
