/**
 * What an agent sends, kept as bytes: to be cut, bent and played to a client again.
 */

import { AnswerReader, KvBlockParser } from '../../lib/protocol/index.ts'
import { converse } from '../rig/raw-client.ts'
import type { Encoding } from './product.ts'

export interface RecordedStream {
  readonly encoding: Encoding
  /** Everything from `READY` on. */
  readonly answer: Buffer
  /** Where in it the stream begins, behind the last block. */
  readonly streamAt: number
}

const MIME: Readonly<Record<Encoding, string>> = {
  octet: 'application/octet-stream',
  base64: 'application/x-base64-stream',
  uuencode: 'application/x-uuencode-stream',
  framed: 'application/x-framed-stream',
}

export interface RecordOrder {
  readonly port: number
  readonly encoding: Encoding
  readonly sid: string
}

/** A request for a backup without a login, as a client of 0.77 or of 0.76 writes it. */
export const requestFor = (encoding: Encoding, sid: string): string => {
  const pairs = [
    'action=copy from',
    `sid=${sid}`,
    `agent-stream-encoding=${MIME[encoding]}`,
    ...(encoding === 'framed' ? [] : ['backup-level=0', 'file=/srv/ZRM_LINKS/.']),
  ]
  return [encoding === 'framed' ? '0.77.0' : '0.76.1', pairs.length, ...pairs, '', ''].join('\n')
}

/** Fetches with the plainest client there is, and keeps every byte. */
export const recordStream = async ({ port, encoding, sid }: RecordOrder): Promise<RecordedStream> => {
  // A framed stream is answered with a receipt; closing our half from the beginning is an answer too.
  const { bytes, ended } = await converse(port, requestFor(encoding, sid), { halfClose: true })
  if (ended !== 'fin') throw new Error(`the recording of ${encoding} ended with a reset`)
  const first = new AnswerReader().push(bytes)
  if (first?.ready !== true) throw new Error(`the agent refused: ${bytes.toString('latin1', 0, 500)}`)
  let { rest } = first
  if (first.block.get('status') === 'ACCEPTED') {
    const sending = new KvBlockParser().push(rest)
    if (sending?.block.get('status') !== 'SENDING') throw new Error('the agent accepted and did not send')
    rest = sending.rest
  }
  return { encoding, answer: bytes, streamAt: bytes.length - rest.length }
}
