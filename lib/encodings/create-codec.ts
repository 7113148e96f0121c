/**
 * Makes the encoder or the decoder for a name. The one place that knows all three, and whether this machine has
 * kernels for them.
 */

import { Base64Decoder } from './base64-decoder.ts'
import { base64Dressing } from './base64-dressing.ts'
import { checkBlockBytes, DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES } from './block-bytes.ts'
import type { CodecOptions, Decoder, Encoder } from './codec.ts'
import type { EncodingName } from './encoding-names.ts'
import { base64KernelDressing, uuencodeKernelDressing } from './kernel-dressing.ts'
import { type Kernels, sharedKernels } from './kernels.ts'
import { OctetDecoder, OctetEncoder } from './octet.ts'
import { type Dressing, UnitEncoder } from './unit-encoder.ts'
import { UuencodeDecoder } from './uuencode-decoder.ts'
import { uuencodeDressing } from './uuencode-dressing.ts'
import { frameRawBytes } from './uuencode-frame.ts'

/**
 * @param name a key of `ENCODINGS`
 * @throws BackupError `ENCODING_BLOCK_SIZE` when `blockBytes` is out of bounds, whether the encoding uses it or not
 */
export const createEncoder = (name: EncodingName, options: CodecOptions = {}): Encoder => {
  const blockBytes = checkBlockBytes(options.blockBytes ?? DEFAULT_BLOCK_BYTES)
  switch (name) {
    case 'uuencode':
      return new UnitEncoder(dressingOfUuencode(blockBytes, kernelsFor(options)))
    case 'base64':
      return new UnitEncoder(dressingOfBase64(kernelsFor(options)))
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
      return new UuencodeDecoder(blockBytes, kernelsFor(options))
    case 'base64':
      return new Base64Decoder(kernelsFor(options))
    case 'octet':
      return new OctetDecoder()
  }
}

const kernelsFor = ({ plain }: CodecOptions): Kernels | undefined => (plain === true ? undefined : sharedKernels())

const dressingOfUuencode = (blockBytes: number, fast: Kernels | undefined): Dressing =>
  fast === undefined ? uuencodeDressing(blockBytes) : uuencodeKernelDressing(fast, frameRawBytes(blockBytes))

const dressingOfBase64 = (fast: Kernels | undefined): Dressing =>
  fast === undefined ? base64Dressing : base64KernelDressing(fast, base64Dressing)
