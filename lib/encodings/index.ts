/** Door of the room `encodings`: how bytes are dressed for the wire, both ways. */

export {
  checkBlockBytes,
  DEFAULT_BLOCK_BYTES,
  MAX_BLOCK_BYTES,
  MIN_BLOCK_BYTES,
} from './block-bytes.ts'
export type { CodecOptions, Decoder, EncodedPiece, Encoder } from './codec.ts'
export { createDecoder, createEncoder } from './create-codec.ts'
export { DEFAULT_ENCODING, ENCODINGS, type EncodingName, encodingFromMime } from './encoding-names.ts'
export {
  blockFrame,
  dataFrames,
  FRAME_HEADER_BYTES,
  FRAMED_MIME,
  type FrameEvent,
  FrameReader,
  MAX_BLOCK_FRAME_BYTES,
  MAX_FRAME_BYTES,
} from './frames.ts'
export { frameRawBytes, uuencodedBytes } from './uuencode-frame.ts'
