/**
 * Makes the encoder or the decoder for a name. The one place that knows all three.
 */

import { Base64Decoder } from './base64-decoder.ts'
import { base64Dressing } from './base64-dressing.ts'
import { checkBlockBytes, DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES } from './block-bytes.ts'
import type { CodecOptions, Decoder, Encoder } from './codec.ts'
import type { EncodingName } from './encoding-names.ts'
import { OctetDecoder, OctetEncoder } from './octet.ts'
import { UnitEncoder } from './unit-encoder.ts'
import { UuencodeDecoder } from './uuencode-decoder.ts'
import { uuencodeDressing } from './uuencode-dressing.ts'

/**
 * @param name a key of `ENCODINGS`
 * @throws BackupError `ENCODING_BLOCK_SIZE` when `blockBytes` is out of bounds, whether the encoding uses it or not
 */
export const createEncoder = (name: EncodingName, options: CodecOptions = {}): Encoder => {
  const blockBytes = checkBlockBytes(options.blockBytes ?? DEFAULT_BLOCK_BYTES)
  switch (name) {
    case 'uuencode':
      return new UnitEncoder(uuencodeDressing(blockBytes))
    case 'base64':
      return new UnitEncoder(base64Dressing)
    case 'octet':
      return new OctetEncoder()
  }
}

/**
 * @param name a key of `ENCODINGS`
 * @throws BackupError `ENCODING_BLOCK_SIZE` when `blockBytes` is out of bounds, whether the encoding uses it or not
 */
export const createDecoder = (name: EncodingName, options: CodecOptions = {}): Decoder => {
  const blockBytes = checkBlockBytes(options.blockBytes ?? MAX_BLOCK_BYTES)
  switch (name) {
    case 'uuencode':
      return new UuencodeDecoder(blockBytes)
    case 'base64':
      return new Base64Decoder()
    case 'octet':
      return new OctetDecoder()
  }
}
