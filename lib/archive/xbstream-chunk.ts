/**
 * The fixed parts of a chunk of an xbstream, for everybody who reads one.
 *
 *     XBSTCK01 · flags u8 · type u8 · path length u32 · path                        head
 *     … · payload length u64 · offset u64 · CRC32 u32 · payload                     lengths, but in an E
 *
 * Format: PROTOCOL.md, "xbstream".
 */

/** The first bytes of every chunk, and so of every xbstream. */
export const XBSTREAM_MAGIC: Buffer = Buffer.from('XBSTCK01', 'latin1')
/** The same as two words, little-endian. */
export const MAGIC_FIRST: number = XBSTREAM_MAGIC.readUInt32LE(0)
export const MAGIC_SECOND: number = XBSTREAM_MAGIC.readUInt32LE(4)

export const TYPE_AT: number = XBSTREAM_MAGIC.length + 1
export const PATH_LENGTH_AT: number = TYPE_AT + 1
export const HEAD_BYTES: number = PATH_LENGTH_AT + 4
export const LENGTHS_BYTES: number = 8 + 8 + 4

/** Types. */
export const PAYLOAD = 0x50 // P
export const SPARSE = 0x53 // S
export const EOF = 0x45 // E
