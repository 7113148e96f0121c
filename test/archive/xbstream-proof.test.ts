import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { XBSTREAM_MAGIC, type XbstreamFacts, XbstreamProof } from '../../lib/archive/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { everyCut } from './cuts.ts'
import { METADATA } from './tar-forge.ts'
import { endChunk, fileChunks, payloadChunk, sparseChunk } from './xbstream-writer.ts'

const prove = (...chunks: readonly Buffer[]): XbstreamFacts => {
  const proof = new XbstreamProof()
  for (const chunk of chunks) proof.push(chunk)
  return proof.finish()
}

const failure = (...chunks: readonly Buffer[]): BackupError => {
  try {
    prove(...chunks)
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('expected a refusal, the stream was proven')
}

const metadata = (names: readonly string[] = Object.keys(METADATA)): Buffer[] =>
  names.map((name) => fileChunks(name, Buffer.from(METADATA[name] ?? 'text'), 20))

const without = (name: string): string[] => Object.keys(METADATA).filter((other) => other !== name)

/** A table, one with holes, an empty one, the redo log open around them, and the metadata. */
const WHOLE = Buffer.concat([
  payloadChunk('ib_logfile0', 0, Buffer.from('re')),
  fileChunks('./shop/a.ibd', Buffer.alloc(70, 'x'), 30),
  sparseChunk(
    'shop/b.ibd',
    0,
    [
      [16, 4],
      [100, 0],
    ],
    Buffer.from('page'),
  ),
  endChunk('shop/b.ibd'),
  fileChunks('shop/empty.CSV', Buffer.alloc(0)),
  ...metadata(without('ib_logfile0')),
  payloadChunk('ib_logfile0', 2, Buffer.from('do')),
  endChunk('ib_logfile0'),
])

const contentBytes = 70 + 120 + Object.values(METADATA).join('').length

describe('a whole backup', () => {
  test('is proven, with what is known about it', () => {
    expect(prove(WHOLE)).toEqual({
      mark: undefined,
      members: 8,
      files: 8,
      bytes: WHOLE.length,
      contentBytes,
      engine: 'mariadb-backup',
      engineVersion: '10.11.19-MariaDB',
      coordinates: { binlogFile: 'mybin.000002', binlogPosition: 542, gtid: '0-1-7' },
      lsn: { from: '0', to: '44420', last: '50474' },
      backupType: 'full-backuped',
    })
    expect(WHOLE.subarray(0, 8)).toEqual(XBSTREAM_MAGIC)
  })

  test('is proven alike wherever it is cut', () => {
    const facts = JSON.stringify(prove(WHOLE))

    const differing = everyCut(WHOLE).filter(({ chunks }) => JSON.stringify(prove(...chunks)) !== facts)

    expect(differing.map(({ cut }) => cut)).toEqual([])
  })

  test('keeps nothing of a chunk that was only lent', () => {
    const proof = new XbstreamProof()

    for (let at = 0; at < WHOLE.length; at += 10) {
      const lent = Buffer.from(WHOLE.subarray(at, at + 10))
      proof.push(lent)
      lent.fill(0xff)
    }

    expect(proof.finish()).toEqual(prove(WHOLE))
  })

  test.each([
    ['MariaDB’s newer names', ['mariadb_backup_checkpoints', 'mariadb_backup_info', 'backup-my.cnf', 'ib_logfile0']],
    ['Percona’s redo log', ['xtrabackup_checkpoints', 'xtrabackup_info', 'backup-my.cnf', 'xtrabackup_logfile']],
  ])('may have %s', (_, names) => {
    expect(prove(...metadata(names)).files).toBe(names.length)
  })

  test('is proven without reading a metadata file that is too long to keep', () => {
    const long = fileChunks('xtrabackup_binlog_info', Buffer.from(`b.1\t4\t${'x'.repeat(64 * 1024)}`), 1000)

    expect(prove(...metadata(without('xtrabackup_binlog_info')), long).coordinates).toEqual({})
  })

  test('reads metadata of just that length, with its holes where they are', () => {
    const text = Buffer.from('b.1\t4\t0-1-\n')
    const name = 'xtrabackup_binlog_info'
    const map = [
      [0, 10],
      [1, 1],
      [64 * 1024 - 12, 0],
    ] as const
    const padded = sparseChunk(name, 0, map, text)

    const { coordinates } = prove(...metadata(without(name)), padded, endChunk(name))

    expect(coordinates).toEqual({ binlogFile: 'b.1', binlogPosition: 4, gtid: '0-1-\0' })
  })

  test('may keep metadata names below the top for its tables', () => {
    const table = fileChunks('shop/xtrabackup_info', Buffer.from('tool_name = other\n'))

    expect(prove(WHOLE, table).engine).toBe('mariadb-backup')
  })
})

describe('what is no whole backup', () => {
  test('is told wherever it is cut', () => {
    const codes = new Map<string, number>()
    for (let length = 0; length < WHOLE.length; length += 1) {
      const { code } = failure(WHOLE.subarray(0, length))
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }

    // Without a byte there is nothing that could be open: then the metadata tells.
    expect(Object.fromEntries(codes)).toEqual({
      ARCHIVE_METADATA_MISSING: 1,
      ARCHIVE_TRUNCATED: WHOLE.length - 1,
    })
  })

  const name = (text: string): Buffer => fileChunks(text, Buffer.from('bytes'))
  const bad = payloadChunk('a', 0, Buffer.from('bytes'), { crc: 7 })

  test.each<[string, Buffer[], string, string | undefined]>([
    ['nothing', [], 'ARCHIVE_METADATA_MISSING', undefined],
    ['a tar', [Buffer.alloc(1024)], 'ARCHIVE_CORRUPT', 'XBSTREAM_CORRUPT'],
    ['a wrong checksum', [bad], 'ARCHIVE_CORRUPT', 'XBSTREAM_CHECKSUM'],
    ['a chunk out of its place', [payloadChunk('a', 5, Buffer.from('b'))], 'ARCHIVE_CORRUPT', 'XBSTREAM_OFFSET'],
    [
      'an unknown chunk',
      [payloadChunk('a', 0, Buffer.from('b'), { type: 'X' })],
      'ARCHIVE_CORRUPT',
      'XBSTREAM_CHUNK_UNKNOWN',
    ],
    ['a second file of one name', [name('a'), name('a')], 'ARCHIVE_DUPLICATE', 'XBSTREAM_AFTER_END'],
    ['a name beyond reason', [endChunk('a', { pathBytes: 4000 })], 'ARCHIVE_LIMIT', 'XBSTREAM_LIMIT'],
    [
      'a file that was never closed',
      [WHOLE, payloadChunk('a', 0, Buffer.from('b'))],
      'ARCHIVE_TRUNCATED',
      'XBSTREAM_FILE_OPEN',
    ],
    ['a chunk that stops', [WHOLE, name('a').subarray(0, 20)], 'ARCHIVE_TRUNCATED', 'XBSTREAM_TRUNCATED'],
    ['bytes behind its end', [WHOLE, Buffer.from('trailing bytes')], 'ARCHIVE_CORRUPT', 'XBSTREAM_CORRUPT'],
    ['a name that climbs', [name('../a')], 'ARCHIVE_PATH_UNSAFE', undefined],
    ['a file below a file', [name('a'), name('a/b')], 'ARCHIVE_DUPLICATE', undefined],
    ['a file where a directory stands', [name('a/b'), name('a')], 'ARCHIVE_DUPLICATE', undefined],
    ...(['xtrabackup_checkpoints', 'xtrabackup_info', 'backup-my.cnf', 'ib_logfile0'] as const).flatMap(
      (missing): [string, Buffer[], string, undefined][] => [
        [`no ${missing}`, metadata(without(missing)), 'ARCHIVE_METADATA_MISSING', undefined],
        [
          `an empty ${missing}`,
          [...metadata(without(missing)), fileChunks(missing, Buffer.alloc(0))],
          'ARCHIVE_METADATA_MISSING',
          undefined,
        ],
        [
          `a ${missing} below the top`,
          [...metadata(without(missing)), name(`shop/${missing}`)],
          'ARCHIVE_METADATA_MISSING',
          undefined,
        ],
      ],
    ),
  ])('is refused: %s', (_, chunks, code, xbstream) => {
    const error = failure(...chunks)

    expect({ code: error.code, xbstream: error.facts['xbstream'], exit: error.exitStatus }).toEqual({
      code,
      xbstream,
      exit: 5,
    })
  })

  test('says where the chunk is that is wrong', () => {
    const error = failure(WHOLE, payloadChunk('a', 0, Buffer.from('b'), { crc: 7 }))

    expect(error.message).toContain(`(xbstream chunk at byte ${WHOLE.length})`)
    expect(error.facts).toMatchObject({ at: WHOLE.length, path: 'a' })
  })
})

test('a changed bit in what a file holds is found by the stream itself', () => {
  const at = WHOLE.indexOf('xxxx')

  for (let bit = 0; bit < 8; bit += 1) {
    const changed = Buffer.from(WHOLE)
    changed[at] = (WHOLE[at] as number) ^ (1 << bit)
    expect(failure(changed)).toMatchObject({ code: 'ARCHIVE_CORRUPT', facts: { xbstream: 'XBSTREAM_CHECKSUM' } })
  }
})

test('any bytes are proven or refused as an archive', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(WHOLE.length), (bytes, at) => {
      try {
        prove(Buffer.concat([WHOLE.subarray(0, at), bytes, WHOLE.subarray(at)]))
      } catch (error) {
        if (!(error instanceof BackupError) || error.exitStatus !== 5) throw error
      }
    }),
    { numRuns: 500 },
  )
})
