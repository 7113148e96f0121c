/** A framed stream, as the client takes it: frames, progress, the end. */

import { blockFrame, dataFrames, FrameReader } from '../../../lib/encodings/index.ts'
import { BackupError } from '../../../lib/errors/index.ts'
import { readEnd, readProgress } from '../../../lib/protocol/index.ts'
import type { SeededRandom } from '../../faults/seeded-random.ts'
import { shown, type Target } from '../target.ts'
import { anyBlock, anyPairs, WORDS } from './kv-forge.ts'

const HEADER_BYTES = 5
const TYPES = ['D', 'D', 'P', 'E', 'd', '\0', 'X']

const anyFrame = (random: SeededRandom): Buffer => {
  const draw = random.next()
  const payload = Buffer.alloc(random.spreadBetween(1, 3000), random.pick(['a', '\0', 'D']))
  if (draw < 0.4) return Buffer.concat(dataFrames(payload))
  if (draw < 0.8) {
    return blockFrame(random.pick(['progress', 'progress', 'end']), Buffer.from(anyBlock(random, anyPairs(random, 8))))
  }
  const header = Buffer.alloc(HEADER_BYTES)
  header.write(random.pick(TYPES), 'latin1')
  header.writeUInt32BE(random.pick([0, 1, 65_536, 65_537, 1_048_576, 1_048_577, 2 ** 31, 2 ** 32 - 1]), 1)
  return Buffer.concat([header, payload])
}

export const FRAMES: Target = {
  name: 'frames',
  side: 'client',
  does: 'a framed stream: headers, data, progress, the end frame and nothing behind it',
  inputs: 250_000,
  quickInputs: 2000,
  maxInputBytes: 1_200_000,
  dictionary: [
    ...WORDS.slice(0, 30),
    'D\0\0\0\x01',
    'P\0\0\0\x01',
    'E\0\0\0\x01',
    'D\0\x10\0\x01',
    'P\0\x01\0\x01',
    'E\xff\xff\xff\xff',
  ].map((word) => Buffer.from(word, 'latin1')),
  isPiecewise: true,
  compose: (random) => Buffer.concat(Array.from({ length: random.between(0, 6) }, () => anyFrame(random))),
  mend: (bytes) => {
    // Walks from frame to frame, and lets a length that points behind the end point to it.
    for (let at = 0; at + HEADER_BYTES < bytes.length; ) {
      const left = bytes.length - at - HEADER_BYTES
      if (bytes.readUInt32BE(at + 1) > left) bytes.writeUInt32BE(left, at + 1)
      at += HEADER_BYTES + bytes.readUInt32BE(at + 1)
    }
    return bytes
  },
  feed: (chunks, trace) => {
    const reader = new FrameReader()
    for (const chunk of chunks) {
      for (const event of reader.push(chunk)) {
        if (event.type === 'data') {
          trace.take(event.bytes)
          continue
        }
        const read = event.type === 'end' ? readEnd : readProgress
        try {
          trace.say(`${event.type} ${shown(read(event.block))}`)
        } catch (error) {
          // The client stops here. Reading on shows more of the frames.
          if (!(error instanceof BackupError)) throw error
          trace.say(`${event.type} ${error.code} ${error.message}`)
        }
      }
    }
    reader.end()
    return 'whole'
  },
}
