/** What agents of 0.76 dress a stream in. What was undressed is dressed again, and must come out the same. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { createDecoder, createEncoder, type EncodingName } from '../../../lib/encodings/index.ts'
import type { SeededRandom } from '../../faults/seeded-random.ts'
import { FIXTURES } from '../corpus.ts'
import type { Target } from '../target.ts'

const fixtures = (pattern: RegExp): Buffer[] =>
  readdirSync(join(FIXTURES, 'encodings'))
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => readFileSync(join(FIXTURES, 'encodings', name)))

const dressed = (name: EncodingName, raw: Buffer, blockBytes?: number): Buffer => {
  const encoder = createEncoder(name, { blockBytes })
  return Buffer.concat([...encoder.encode(raw), ...encoder.end()].map(({ wire }) => wire))
}

/** Bytes that stand before a fault come or do not, as they were cut; so they are looked at only where there is none. */
const undress = (name: EncodingName, chunks: Iterable<Buffer>): Buffer => {
  const decoder = createDecoder(name)
  const pieces: Buffer[] = []
  for (const chunk of chunks) pieces.push(...decoder.decode(chunk).map((raw) => Buffer.from(raw)))
  return Buffer.concat([...pieces, ...decoder.end()])
}

const anyRaw = (random: SeededRandom): Buffer =>
  Buffer.from(Array.from({ length: random.spreadBetween(1, 600) }, () => random.between(0, 255)))

export const UUENCODE: Target = {
  name: 'uuencode',
  side: 'client',
  does: 'application/x-uuencode-stream, and that what was decoded survives being encoded',
  inputs: 120_000,
  quickInputs: 1500,
  maxInputBytes: 60_000,
  dictionary: ['M', '`', ' ', '\n', '#', '\0\0\0\x3e', '\0\0\0\0', '\xff\xff\xff\xff', '\0\0\0\x06#86%T\n'].map(
    (word) => Buffer.from(word, 'latin1'),
  ),
  isPiecewise: true,
  seeds: () => fixtures(/^uuencode-[0-9]{1,3}\.bin$/),
  compose: (random) => dressed('uuencode', anyRaw(random), random.pick([57, 58, 90, 1024])),
  mend: (bytes) => {
    if (bytes.length > 4) bytes.writeUInt32BE(bytes.length - 4)
    return bytes
  },
  feed: (chunks, trace) => {
    const raw = undress('uuencode', chunks)
    trace.take(raw)
    const again = undress('uuencode', [dressed('uuencode', raw)])
    if (!again.equals(raw)) throw new Error('bytes change when they are encoded and decoded')
    return 'whole'
  },
}

export const BASE64: Target = {
  name: 'base64',
  side: 'client',
  does: 'application/x-base64-stream, which has one spelling for each stream',
  inputs: 120_000,
  quickInputs: 1500,
  maxInputBytes: 60_000,
  dictionary: ['=', '==', 'A===', '\n', '\r\n', '-', '_', ' ', 'QQ==\n', 'QR==\n', 'QUI=\n', `${'A'.repeat(76)}\n`],
  isPiecewise: true,
  seeds: () => fixtures(/^base64-[0-9]{1,3}\.txt$/),
  compose: (random) => dressed('base64', anyRaw(random)),
  feed: (chunks, trace) => {
    const wire: Buffer[] = []
    const kept = function* (): Generator<Buffer> {
      for (const chunk of chunks) {
        wire.push(Buffer.from(chunk))
        yield chunk
      }
    }
    const raw = undress('base64', kept())
    trace.take(raw)
    if (!dressed('base64', raw).equals(Buffer.concat(wire))) throw new Error('there are two spellings of one stream')
    return 'whole'
  },
}
