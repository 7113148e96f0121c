/** A tar archive and the texts in it, as the client proves them. */

import { encodeMark, parseMark } from '../../../lib/archive/archive-mark.ts'
import { ArchiveProof, parseBinlogInfo, parseCheckpoints, parseInfo, TarReader } from '../../../lib/archive/index.ts'
import { parsePaxRecords } from '../../../lib/archive/pax-records.ts'
import { paxRecord, wholeBackup } from '../../archive/tar-forge.ts'
import { shown, type Target, whole } from '../target.ts'
import { anyTar, mendTar, PATHS, TAR_WORDS } from './archive-forge.ts'

const TAR = {
  side: 'client',
  maxInputBytes: 200_000,
  dictionary: TAR_WORDS,
  isPiecewise: true,
  seeds: () => [wholeBackup()],
  compose: anyTar,
  mend: mendTar,
} as const

export const TAR_READER: Target = {
  ...TAR,
  name: 'tar-reader',
  does: 'headers, names and bodies of a tar archive, whatever they are',
  inputs: 60_000,
  quickInputs: 800,
  feed: (chunks, trace) => {
    const reader = new TarReader()
    for (const chunk of chunks) {
      for (const event of reader.push(chunk)) {
        if (event.type === 'data') trace.take(event.bytes)
        else trace.say(shown(event))
      }
    }
    reader.finish()
    trace.say(String(reader.offset))
    return 'whole'
  },
}

export const TAR_PROOF: Target = {
  ...TAR,
  name: 'tar-proof',
  does: 'a tar archive that has to be a whole backup',
  inputs: 60_000,
  quickInputs: 800,
  feed: (chunks, trace) => {
    const proof = new ArchiveProof()
    for (const chunk of chunks) {
      for (const event of proof.read(chunk)) {
        if (event.type === 'data') trace.take(event.bytes)
        else {
          if ('path' in event) mustStayInside(event.path)
          trace.say(shown(event))
        }
      }
    }
    trace.say(shown(proof.finish()))
    return 'a whole backup'
  },
}

/** Written on its own, so that it does not share a mistake with the rule that it looks after. */
const mustStayInside = (path: string): void => {
  const isInside = path !== '' && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (!isInside || /[\0-\x1f\x7f\\]/.test(path)) throw new Error(`hands on the name ${JSON.stringify(path)}`)
}

export const PAX_RECORDS: Target = {
  name: 'pax-records',
  side: 'client',
  does: 'the body of a pax header',
  inputs: 60_000,
  quickInputs: 1000,
  maxInputBytes: 1_048_576,
  dictionary: [
    'path=',
    'linkpath=',
    'size=',
    'mtime=',
    'comment=',
    'GNU.sparse.',
    '\n',
    ' ',
    '=',
    '9999999 ',
    '0 ',
    '1 ',
    '-5 ',
    ...PATHS,
  ],
  isPiecewise: false,
  compose: (random) =>
    Buffer.concat(
      Array.from({ length: random.spreadBetween(1, 200) }, () =>
        Buffer.from(
          paxRecord(
            random.pick(['path', 'linkpath', 'size', 'mtime', 'comment', 'a', 'uid', 'GNU.sparse.name', '__proto__']),
            random.pick([
              ...PATHS,
              '0',
              '1.5',
              '-1',
              '99999999999999999999',
              'x'.repeat(random.spreadBetween(1, 4000)),
            ]),
          ),
        ),
      ),
    ),
  feed: (chunks, trace) => {
    trace.say(shown(parsePaxRecords(whole(chunks), 512)))
    return 'read'
  },
}

export const ARCHIVE_MARK: Target = {
  name: 'archive-mark',
  side: 'client',
  does: 'the comment that opens an archive, and that a mark is written as it was read',
  inputs: 30_000,
  quickInputs: 800,
  maxInputBytes: 3000,
  dictionary: [
    'kv-backup-agent/',
    '; engine=',
    '; entries=',
    '; bytes=',
    '; engine-version=',
    '%',
    '%00',
    '%c3',
    '=',
    '; ',
    '9007199254740993',
  ],
  isPiecewise: false,
  feed: (chunks, trace) => {
    const mark = parseMark(whole(chunks).toString())
    if (mark === undefined) return 'no mark'
    trace.say(shown(mark))
    if (shown(parseMark(encodeMark(mark))) !== shown(mark)) throw new Error('a mark changes when it is written')
    return 'read'
  },
}

export const METADATA: Target = {
  name: 'metadata',
  side: 'client',
  does: 'what the backup program wrote about itself: checkpoints, info, binlog info',
  inputs: 30_000,
  quickInputs: 800,
  maxInputBytes: 65_536,
  dictionary: [
    ' = ',
    'tool_name',
    'binlog_pos',
    "filename '",
    "', position '",
    "', GTID of the last change '",
    '\t',
    ',\n',
    ',',
    '\n',
    'from_lsn',
    '99999999999999999999',
  ],
  isPiecewise: false,
  feed: (chunks, trace) => {
    const text = whole(chunks).toString()
    trace.say(shown([parseCheckpoints(text), parseInfo(text), parseBinlogInfo(text)]))
    return 'read'
  },
}
