/** The seeds of every target, as they lie below fixtures/fuzz. What the fixtures of other tests hold is borrowed, not copied. */

import { encodeMark } from '../../lib/archive/archive-mark.ts'
import { createEncoder, type EncodingName } from '../../lib/encodings/index.ts'
import { optionFileText } from '../../lib/engines/option-file.ts'
import { writeLine } from '../../lib/history/journal-line.ts'
import { makeReceipt, writeReceiptText } from '../../lib/client/receipt.ts'
import { writeEnd, writeKvBlock, writeProgress, writeReceipt, writeRequest } from '../../lib/protocol/index.ts'
import {
  archive,
  END,
  long,
  MARK,
  mark,
  member,
  METADATA,
  metadataMembers,
  pax,
  paxRecord,
} from '../archive/tar-forge.ts'
import { endChunk, fileChunks, payloadChunk, sparseChunk } from '../archive/xbstream-writer.ts'
import { accepted, complete, framed, SENDING, SESSION, SMALL_ARCHIVE, TOO_NEW } from '../client/scripted-agent.ts'

const PAIRS: [string, string][] = [
  ['action', 'copy from'],
  ['user', 'backup'],
  ['password', 'a "b" \\ #c; =d'],
  ['backup-level', '0'],
  ['replication', '0'],
  ['file', '/var/lib/mysql/ZRM_LINKS/.'],
  ['sid', 'nightly'],
  ['agent-stream-encoding', 'application/x-base64-stream'],
  ['agent-stream-block-size', '10240'],
]

const dressed = (name: EncodingName, raw: Buffer, blockBytes?: number): Buffer => {
  const encoder = createEncoder(name, { blockBytes })
  return Buffer.concat([...encoder.encode(raw), ...encoder.end()].map(({ wire }) => wire))
}

/** Every byte, five times. */
const RAW = Buffer.from(Array.from({ length: 1280 }, (_, at) => (at * 7) & 0xff))

const complete1 = complete(SMALL_ARCHIVE, {
  coordinates: { binlogFile: 'mybin.000002', binlogPosition: 542, gtid: '0-1-7' },
  lsn: { from: '44420', to: '50474', checkpoint: '44420' },
})

const metadataChunks = (): Buffer[] =>
  Object.entries(METADATA).map(([name, text]) => fileChunks(name, Buffer.from(text), 30))

const FILES = {
  bytes: SMALL_ARCHIVE.length,
  members: 1,
  files: 1,
  contentBytes: 3,
  mark: undefined,
  engine: 'directory',
}
const RECEIPT = makeReceipt(
  {
    ...FILES,
    coordinates: { binlogFile: 'mybin.000002', binlogPosition: 542 },
    lsn: { from: '0', to: '44420', last: '50474' },
  },
  {
    ...{ session: SESSION, verdict: complete1, dialogue: '0.77.0', sid: 'nightly', format: 'tar', encoding: 'framed' },
    ...{ base: undefined, sha256: complete1.sha256, finishedAt: '2026-01-01T00:00:00.000Z', seconds: 1.5 },
  },
)

const STARTED = {
  ...{
    event: 'started',
    id: 'l1',
    job: 'j1',
    sid: 'nightly',
    startedAt: '2026-01-01T00:00:00.000Z',
    peer: '127.0.0.1:1',
  },
  ...{ engine: 'mariadb-backup', engineVersion: '10.11.19', requested: { encoding: 'framed', blockBytes: 10_240 } },
  process: { pid: 1, startTicks: '1', bootId: 'b' },
}
const ENDED = {
  ...STARTED,
  ...{ event: 'ended', id: 'l2', endedAt: '2026-01-01T00:00:01.000Z', outcome: 'delivered', bytes: 5, members: 1 },
  ...{ sha256: 'ab'.repeat(32), coordinates: { binlogFile: 'b.1', binlogPosition: 4 }, lsn: { to: '5' }, seconds: 1.5 },
}
const JOURNAL = {
  'started-and-ended': Buffer.concat([writeLine(STARTED), writeLine(ENDED)]),
  'sealed-with-a-later-line': Buffer.concat([
    writeLine({ event: 'generation', damagedLines: 1 }),
    writeLine({ ...STARTED, v: 2 }),
    writeLine(STARTED),
    writeLine({ event: 'sealed' }),
    writeLine(ENDED),
  ]),
  'cut-in-a-line': Buffer.concat([
    writeLine(STARTED),
    writeLine(ENDED).subarray(0, -40),
    writeLine({ ...STARTED, job: 'j2' }),
  ]),
}

type Seeds = Readonly<Record<string, Readonly<Record<string, Buffer>>>>

const TARS = {
  'gnu-long-names': archive(long('L', `${'n'.repeat(150)}/f`), member({ name: 'cut' }, 'body'), ...metadataMembers()),
  'every-type': archive(
    ...['0', '\0', '7', '5', '1', '2', '3', '4', '6', 'Z'].map((typeflag, at) =>
      member({ name: `m${at}`, typeflag, linkName: 'm0' }),
    ),
  ),
  'directory-with-numbers': SMALL_ARCHIVE,
  'no-end': Buffer.concat([mark(), ...metadataMembers()]),
  'pax-everything': archive(
    pax([
      ['path', 'ü/f'],
      ['size', '3'],
      ['mtime', '1700000000.5'],
      ['comment', 'c'],
      ['SCHILY.xattr.a', 'v'],
    ]),
    Buffer.concat([member({ name: 'x', size: 3 }, 'abc')]),
    ...metadataMembers(),
  ),
  'ten-thousand-zeros': Buffer.concat([...metadataMembers(), END, Buffer.alloc(8192)]),
} satisfies Record<string, Buffer>

const XBSTREAMS = {
  'whole-backup': Buffer.concat([
    payloadChunk('a', 0, RAW),
    ...metadataChunks(),
    payloadChunk('a', RAW.length, RAW),
    endChunk('a'),
  ]),
  'sparse-and-skipped': Buffer.concat([
    sparseChunk(
      's',
      0,
      [
        [512, 4],
        [16, 2],
        [9, 0],
      ],
      Buffer.from('abcdef'),
    ),
    payloadChunk('ignored', 0, Buffer.from('x'), { type: 'Z', flags: 1 }),
    endChunk('s'),
    endChunk('empty.CSV'),
  ]),
  'left-open': Buffer.concat([payloadChunk('a', 0, RAW.subarray(0, 100)), endChunk('b')]),
}

export const SEEDS: Seeds = {
  request: {
    full: writeRequest('0.76.1', PAIRS),
    'many-pairs': writeRequest(
      '0.77.0',
      Array.from({ length: 256 }, (_, at) => [`k${at}`, 'v']),
    ),
  },
  'receipt-block': {
    received: writeReceipt({ status: 'RECEIVED', sid: 'nightly', bytes: complete1.bytes, sha256: complete1.sha256 }),
    failed: writeReceipt({ status: 'FAILED', msg: 'no space left on the disk' }),
  },
  'compress-words': {
    deployed: Buffer.from('/usr/bin/gzip -c'),
    threads: Buffer.from('zstd -c -3 -T4'),
    'by-name': Buffer.from('zstd:3'),
  },
  configuration: {
    small: Buffer.from(
      'listen = "127.0.0.1:25300"\nengine = "auto"\n\n[instance.shop]\nsocket = "/run/shop.sock"\n\n[allow]\nbinlog-directories = ["/var/log/mysql"]\n\n[options.fast]\nargs = ["--tables-exclude=^shop[.]log$"]\n',
    ),
  },
  answer: { accepted: Buffer.concat([accepted(), SENDING, Buffer.from('stream')]), 'too-new': TOO_NEW },
  questions: {
    verdict: writeKvBlock([
      ...([
        ['status', 'COMPLETE'],
        ['msg', 'done'],
        ['sid', 'nightly'],
        ['job', 'j1'],
        ['outcome', 'delivered'],
      ] as const),
      ...([
        ['bytes', '5'],
        ['entries', '1'],
        ['sha256', 'ab'.repeat(32)],
        ['started', '2026-01-01T00:00:00Z'],
      ] as const),
    ]),
  },
  frames: { small: framed(SMALL_ARCHIVE, {}, 700), 'only-an-end': framed(Buffer.alloc(0)) },
  'stream-blocks': {
    complete: writeEnd(complete1),
    failed: writeEnd({
      status: 'FAILED',
      msg: 'it died',
      sid: 'nightly',
      code: 'ENGINE_FAILED',
      bytes: 5,
      engineExit: 1,
      engineSignal: 'SIGKILL',
    }),
    progress: writeProgress({ bytes: 5, sent: 4, files: 1, stage: 'FLUSH', percent: 50, eta: 7 }),
  },
  uuencode: {
    'three-blocks': dressed('uuencode', RAW, 512),
    'blocks-of-57': dressed('uuencode', RAW.subarray(0, 150), 57),
  },
  base64: { padded: dressed('base64', RAW.subarray(0, 200)), 'full-lines': dressed('base64', RAW.subarray(0, 228)) },
  xbstream: XBSTREAMS,
  'xbstream-proof': { 'whole-backup': XBSTREAMS['whole-backup'] },
  'tar-reader': TARS,
  'tar-proof': TARS,
  'pax-records': {
    known: Buffer.from(
      [
        ['path', 'a/ü'],
        ['linkpath', 'b'],
        ['size', '7'],
        ['mtime', '1700000000.25'],
        ['comment', 'c'],
      ]
        .map(([key = '', value = '']) => paxRecord(key, value))
        .join(''),
    ),
    sparse: Buffer.from(paxRecord('GNU.sparse.major', '1')),
  },
  'archive-mark': {
    'mariadb-backup': Buffer.from(encodeMark(MARK)),
    directory: Buffer.from(
      encodeMark({ ...MARK, engine: 'directory', engineVersion: '1; é', entries: 12, bytes: 34_567 }),
    ),
  },
  metadata: {
    checkpoints: Buffer.from(METADATA['xtrabackup_checkpoints'] ?? ''),
    info: Buffer.from(
      "tool_name = mariadb-backup\ntool_version = 10.11.19-MariaDB\nserver_version = 10.11.19\nbinlog_pos = filename 'mybin.000002', position '542', GTID of the last change '0-1-7'\n",
    ),
    'binlog-info': Buffer.from('mybin.000002\t542\taa:1-5,\nbb:1-9\n'),
  },
  extraction: TARS,
  'history-line': JOURNAL,
  journal: JOURNAL,
  'session-file': { smallest: Buffer.from('# kv-backup-agent wire session 1\n<fin\n') },
  'receipt-file': {
    verdict: Buffer.from(writeReceiptText(RECEIPT)),
    archive: Buffer.from(writeReceiptText({ ...RECEIPT, proof: 'archive', paddedFiles: undefined, sid: undefined })),
  },
  'engine-words': {
    'gtid-over-lines': Buffer.from(
      "MySQL binlog position: filename 'b.1', position '4', GTID of the last change 'aa:1-5,\nbb:1-9'\ncompleted OK!\n",
    ),
  },
  'option-file': {
    plain: Buffer.from('backup\ns3cUre'),
    odd: Buffer.from('backup_1.$\na "b" \\ #c; =d\\'),
    include: Buffer.from(optionFileText({ user: 'a', password: 'b' })),
  },
}
