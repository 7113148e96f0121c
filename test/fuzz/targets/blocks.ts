/** Messages of KV blocks: requests and receipts that the agent reads, answers and stream blocks that the client reads. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import { decide, type PolicyContext } from '../../../lib/agent/policy.ts'
import { readCancelled, readIdentity, readJob, readStatusHead, readVerdict } from '../../../lib/client/ask-blocks.ts'
import { readSessionFacts } from '../../../lib/client/session-block.ts'
import { BackupError } from '../../../lib/errors/index.ts'
import {
  AnswerReader,
  KvBlockParser,
  RequestParser,
  readEnd,
  readProgress,
  readReceipt,
  readRequest,
  readStatus,
  refuseTrailingBytes,
  writeEnd,
  writeProgress,
  writeReceipt,
  writeRequest,
} from '../../../lib/protocol/index.ts'
import { FIXTURES } from '../corpus.ts'
import { whyNoRefusal } from '../judge.ts'
import { shown, type Target, type Trace, whole } from '../target.ts'
import { almost, anyBlock, anyPairs, recordedHalves, recount, WORDS } from './kv-forge.ts'

const POLICY: PolicyContext = { loginRequired: true, hasXbstream: true, hasServer: true, makeSid: () => 'made-up' }

const REQUEST_PAIRS = {
  action: 'copy from',
  user: 'backup',
  password: 's3cUre',
  'backup-level': '0',
  replication: '0',
  file: 'backup/ZRM_LINKS/.',
  sid: 'nightly',
  'agent-stream-encoding': 'application/x-framed-stream',
  'agent-stream-block-size': '10240',
}

export const REQUEST: Target = {
  name: 'request',
  side: 'server',
  does: 'the whole request of a connection, as the agent reads it: version, block, pairs, nothing behind',
  inputs: 750_000,
  quickInputs: 2500,
  maxInputBytes: 80_000,
  dictionary: WORDS,
  isPiecewise: true,
  seeds: () => [
    ...recordedHalves('send'),
    ...['protocol-text-example', 'deployed-client'].map((name) =>
      readFileSync(join(FIXTURES, 'protocol', `${name}.request`)),
    ),
  ],
  compose: (random) => {
    const version = random.pick(['0.75.1', '0.76.1', '0.77.0', '0.77.0'])
    const pairs = [...almost(random, REQUEST_PAIRS), ...anyPairs(random, random.next() < 0.1 ? 260 : 4)]
    return Buffer.from(`${version}\n${anyBlock(random, pairs)}`)
  },
  mend: (bytes) => recount(bytes, 1),
  feed: (chunks, trace) => {
    const parser = new RequestParser()
    for (const chunk of chunks) {
      const parsed = parser.push(chunk)
      if (parsed === undefined) continue
      const { version, block, rest } = parsed
      trace.say(`${version.text} ${shown(block)}`)
      const again = new RequestParser().push(writeRequest(version.text, [...block]))
      if (!isDeepStrictEqual([...(again?.block ?? [])], [...block]))
        throw new Error('a request that was read cannot be written the same')
      const request = readRequest(block, version)
      understand(trace, () => decide(request, version, POLICY))
      if (rest.length > 0) {
        // How many of them are there depends on how they were cut: the rest may not have come.
        refuseAs(rest)
        return 'bytes behind it'
      }
      for (const behind of chunks) if (behind.length > 0) return 'bytes behind it'
      return `read: ${request.action}`
    }
    parser.end()
    return 'nothing'
  },
}

/** It must be refused; the message counts bytes, so it is not compared. */
const refuseAs = (rest: Buffer): void => {
  try {
    refuseTrailingBytes(rest)
  } catch (error) {
    if (error instanceof BackupError && error.code === 'PROTOCOL_TRAILING_BYTES') return
    throw error
  }
  throw new Error('bytes behind a request are not refused')
}

const DIGEST = 'ab'.repeat(32)

export const RECEIPT_BLOCK: Target = {
  name: 'receipt-block',
  side: 'server',
  does: 'the receipt with which a client answers a framed stream',
  inputs: 300_000,
  quickInputs: 1500,
  maxInputBytes: 70_000,
  dictionary: WORDS,
  isPiecewise: false,
  seeds: () => recordedHalves('send').filter((bytes) => bytes.includes('status=')),
  compose: (random) =>
    Buffer.from(
      anyBlock(random, [
        ...almost(random, { status: 'RECEIVED', sid: 'nightly', bytes: '51200', sha256: DIGEST }),
        ...anyPairs(random, 3),
      ]),
    ),
  mend: (bytes) => recount(bytes, 0),
  feed: (chunks, trace) => {
    const receipt = readReceipt(whole(chunks))
    trace.say(shown(receipt))
    // A failure is written so that it fits; a confirmation comes back as it is.
    const again = readReceipt(writeReceipt(receipt))
    if (receipt.status === 'RECEIVED' && !isDeepStrictEqual(again, receipt))
      throw new Error('a receipt changes when written')
    return receipt.status
  },
}

export const ANSWER: Target = {
  name: 'answer',
  side: 'client',
  does: 'what an agent says before the stream: READY and blocks, or a block that refuses',
  inputs: 250_000,
  quickInputs: 2000,
  maxInputBytes: 80_000,
  dictionary: WORDS,
  isPiecewise: true,
  seeds: () => recordedHalves('answer'),
  compose: (random) => {
    const session = almost(random, {
      ...{ status: 'ACCEPTED', msg: 'starting', sid: 'nightly', agent: 'kv-backup-agent/0.1.0', protocol: '0.77.0' },
      ...{ engine: 'mariadb-backup', 'engine-version': '10.11.19', format: 'tar' },
      ...{ encoding: 'application/x-framed-stream', compression: 'none' },
    })
    const sending = almost(random, { status: 'SENDING', msg: 'here it comes', sid: 'nightly' })
    const ready = random.pick(['READY\n', 'READY\n', '220 READY\n', ''])
    return Buffer.from(`${ready}${anyBlock(random, session)}${anyBlock(random, sending)}stream`)
  },
  mend: (bytes) => recount(bytes, bytes.indexOf('READY') === 0 ? 1 : 0),
  feed: (chunks, trace) => readAnswerAndBlocks(chunks, trace),
}

/** As `agent-answer.ts` does from a connection: an answer, then blocks as long as there are any. */
const readAnswerAndBlocks = (chunks: Iterable<Buffer>, trace: Trace): string => {
  const reader = new AnswerReader()
  let parser: KvBlockParser | undefined
  let blocks = 0
  const takeBlocks = (first: Buffer): void => {
    for (let rest = first; rest.length > 0; ) {
      parser ??= new KvBlockParser()
      const parsed = parser.push(rest)
      if (parsed === undefined) return
      parser = undefined
      blocks += 1
      trace.say(shown(parsed.block))
      understand(trace, () => readStatus(parsed.block))
      rest = parsed.rest
    }
  }
  let isAnswered = false
  for (const chunk of chunks) {
    if (isAnswered) {
      takeBlocks(chunk)
      continue
    }
    const answer = reader.push(chunk)
    if (answer === undefined) continue
    isAnswered = true
    trace.say(`${answer.ready ? 'READY' : 'in place of READY'} ${shown(answer.block)}`)
    understand(trace, () => readStatus(answer.block))
    understand(trace, () =>
      readSessionFacts(answer.block, { encoding: 'application/x-framed-stream', format: 'tar', compression: 'none' }),
    )
    takeBlocks(answer.rest)
  }
  if (!isAnswered) {
    reader.end()
    throw new Error('an AnswerReader without an answer lets the end pass')
  }
  parser?.end()
  return `read, and ${Math.min(blocks, 2)} blocks behind it`
}

/** What is refused here ends nothing: the next one may still be read. */
const understand = (trace: Trace, read: () => unknown): void => {
  try {
    trace.say(shown(read()))
  } catch (error) {
    const why = error instanceof BackupError ? whyNoRefusal(error) : String(error)
    if (!(error instanceof BackupError) || why !== undefined) throw new Error(why, { cause: error })
    trace.say(`${error.code} ${error.message}`)
  }
}

const QUESTIONS_PAIRS: readonly Readonly<Record<string, string>>[] = [
  {
    status: 'OK',
    agent: 'kv-backup-agent/0.1.0',
    protocol: '0.77.0',
    engine: 'directory',
    uptime: '7',
    history: 'ok',
    jobs: '1',
  },
  {
    ...{ sid: 'nightly', job: '1', peer: '127.0.0.1:1', state: 'streaming', stage: 'FLUSH', seconds: '3', bytes: '5' },
    ...{ sent: '4', files: '2', percent: '40', eta: '5', spilled: '0', encoding: 'x', format: 'tar' },
  },
  { status: 'OK', cancelled: '1' },
  {
    ...{ status: 'COMPLETE', msg: 'done', sid: 'nightly', job: '1', outcome: 'delivered', bytes: '5', sha256: DIGEST },
    ...{ entries: '1', started: '2026-01-01T00:00:00Z', ended: '2026-01-01T00:00:01Z', 'lsn-to': '44420' },
  },
]

export const QUESTIONS: Target = {
  name: 'questions',
  side: 'client',
  does: 'the blocks with which an agent answers ping, status, cancel and verdict',
  inputs: 100_000,
  quickInputs: 1200,
  maxInputBytes: 70_000,
  dictionary: WORDS,
  isPiecewise: true,
  seeds: () => recordedHalves('answer').map((bytes) => bytes.subarray(bytes.indexOf('READY\n') === 0 ? 6 : 0)),
  compose: (random) =>
    Buffer.from(anyBlock(random, [...almost(random, random.pick(QUESTIONS_PAIRS)), ...anyPairs(random, 2)])),
  mend: (bytes) => recount(bytes, 0),
  feed: (chunks, trace) => {
    const parser = new KvBlockParser()
    for (const chunk of chunks) {
      const parsed = parser.push(chunk)
      if (parsed === undefined) continue
      for (const read of [readIdentity, readStatusHead, readJob, readCancelled, readVerdict]) {
        understand(trace, () => read(parsed.block))
      }
      return 'read'
    }
    parser.end()
    return 'nothing'
  },
}

const END_PAIRS = {
  ...{ status: 'COMPLETE', msg: 'done', sid: 'nightly', bytes: '51200', sha256: DIGEST, entries: '6' },
  ...{ 'binlog-file': 'b.000002', 'binlog-position': '542', gtid: '0-1-7', 'lsn-from': '1', 'lsn-to': '2' },
  ...{ 'padded-files': '0', 'padded-bytes': '0', engine: 'mariadb-backup', 'engine-version': '10.11.19' },
  ...{ 'engine-exit': '0' },
}
const PROGRESS_PAIRS = { bytes: '5', sent: '4', files: '2', stage: 'FLUSH', percent: '40', eta: '5' }

export const STREAM_BLOCKS: Target = {
  name: 'stream-blocks',
  side: 'client',
  does: 'progress and end of a framed stream, and whether they come back the same when they are written',
  inputs: 100_000,
  quickInputs: 1200,
  maxInputBytes: 70_000,
  dictionary: WORDS,
  isPiecewise: false,
  seeds: () => recordedHalves('answer'),
  compose: (random) =>
    Buffer.from(
      anyBlock(random, [...almost(random, random.pick([END_PAIRS, PROGRESS_PAIRS])), ...anyPairs(random, 2)]),
    ),
  mend: (bytes) => recount(bytes, 0),
  feed: (chunks, trace) => {
    const bytes = whole(chunks)
    understand(trace, () => {
      const progress = readProgress(bytes)
      if (!isShortened(progress.stage)) same(readProgress(writeProgress(progress)), progress)
      return progress
    })
    const end = readEnd(bytes)
    trace.say(shown(end))
    const again = readEnd(writeEnd(end))
    if (!Object.values(end).some(isShortened)) same(again, end)
    return end.status
  },
}

/** A writer cuts what is longer. Source: `maxMessageBytes`. */
const isShortened = (value: unknown): boolean => typeof value === 'string' && Buffer.byteLength(value) > 2048

const same = (again: unknown, before: unknown): void => {
  if (isDeepStrictEqual(again, before)) return
  throw new Error(`changes when it is written and read again: ${shown(before)}, then ${shown(again)}`)
}
