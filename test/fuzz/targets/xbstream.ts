/** An xbstream, as the agent reads its engine's and as the client proves what it has fetched. */

import { XbstreamProof, XbstreamReader } from '../../../lib/archive/index.ts'
import { shown, type Target } from '../target.ts'
import { anyXbstream, mendXbstream, XBSTREAM_WORDS } from './archive-forge.ts'

const STREAM = {
  side: 'client',
  maxInputBytes: 200_000,
  dictionary: XBSTREAM_WORDS,
  isPiecewise: true,
  compose: anyXbstream,
  mend: mendXbstream,
} as const

export const XBSTREAM: Target = {
  ...STREAM,
  name: 'xbstream',
  does: 'chunks, offsets, maps and checksums of an xbstream',
  inputs: 100_000,
  quickInputs: 1200,
  feed: (chunks, trace) => {
    const reader = new XbstreamReader()
    let path = ''
    for (const chunk of chunks) {
      for (const event of reader.push(chunk)) {
        if (event.type !== 'data') trace.say(shown(event))
        else {
          if (event.path !== path) trace.say(shown(event.path))
          trace.take(event.bytes)
        }
        path = event.path
      }
    }
    reader.end()
    trace.say(`${reader.files} files, ${reader.bytesRead} bytes`)
    return 'whole'
  },
}

export const XBSTREAM_PROOF: Target = {
  ...STREAM,
  name: 'xbstream-proof',
  does: 'an xbstream that has to be a whole backup',
  inputs: 60_000,
  quickInputs: 800,
  feed: (chunks, trace) => {
    const proof = new XbstreamProof()
    for (const chunk of chunks) proof.push(chunk)
    trace.say(shown(proof.finish()))
    return 'a whole backup'
  },
}
