import { describe, expect, test } from '@jest/globals'

import { MARIADB_WORDS } from '../../lib/engines/mariadb-words.ts'
import { redactor } from '../../lib/engines/redaction.ts'
import { type Vocabulary, WordsReader } from '../../lib/engines/words-reader.ts'
import { XTRABACKUP_WORDS } from '../../lib/engines/xtrabackup-words.ts'
import { recorded } from './stand-ins.ts'

/** After each line that changes it: who waits, and for whom. */
const waits = (lines: readonly string[], vocabulary: Vocabulary = MARIADB_WORDS): string[] => {
  const words = new WordsReader(vocabulary, redactor(undefined))
  const seen = lines.map((line) => {
    words.take(line)
    const { locked, waitingForLock } = words.progress()
    const who = [...(waitingForLock ? ['we wait'] : []), ...(locked ? ['they wait'] : [])].join(', ') || 'nobody waits'
    return { line: line.replace(/^.*?\d\d:\d\d:\d\d\S* (?:\d+ (?:\[[^\]]*\] )+)?/, ''), who }
  })
  return seen.flatMap(({ line, who }, at) => (who === (seen[at - 1]?.who ?? 'nobody waits') ? [] : [`${line}: ${who}`]))
}

const read = (lines: readonly string[], vocabulary: Vocabulary = MARIADB_WORDS, password?: string) => {
  const words = new WordsReader(vocabulary, redactor(password))
  const stages = lines.map((line) => words.take(line).stage).filter((stage) => stage !== undefined)
  return { ...words.seen(), stages }
}

describe('the words of mariadb-backup', () => {
  test('tell the stages in order', () => {
    const { stages } = read(recorded('complete'))

    expect(stages).toEqual(['START', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT', 'END', 'done'])
  })

  test('tell coordinates and log sequence numbers', () => {
    const { coordinates, lsn, saidOk } = read(recorded('complete'))

    expect(coordinates).toEqual({ binlogFile: 'bin.000001', binlogPosition: 2858, gtid: '0-1-16' })
    expect(lsn).toEqual({ checkpoint: '44404', from: '44404', to: '1568263' })
    expect(saidOk).toBe(true)
  })

  test('tell every file once it is begun', () => {
    const { progress } = read(recorded('complete'))

    expect(progress.lastFile).toBe('xtrabackup_info')
    // The stream of the same run had 213 files; its redo log is never spoken of, its log tables are spoken of twice.
    expect(progress.files).toBeGreaterThan(200)
    expect(progress.files).toBeLessThan(225)
  })

  test.each([
    ['Streaming ./db/t.ibd', 'db/t.ibd'],
    ['Streaming ./db/t.frm to <STDOUT>', 'db/t.frm'],
    ['Streaming ./db/t to <STDOUT>x.ibd', 'db/t to <STDOUT>x.ibd'],
    ['aria table file ./db/a.MAI is copied successfully.', 'db/a.MAI'],
    ['Copied file ./db/m.MYD for table `db`.`m`, 1024 bytes', 'db/m.MYD'],
    ['Copied file ./mysql/slow_log.CSV for log table `mysql`.`slow_log`, 0 bytes', 'mysql/slow_log.CSV'],
  ])('name the file in: %s', (text, file) => {
    expect(read([`[01] 2026-11-21  6:47:35 ${text}`]).progress).toMatchObject({ files: 1, lastFile: file })
  })

  test.each([
    ['nothing after it', ['[00] 2026-11-21 06:47:36 completed OK!'], true],
    ['empty lines after it', ['[00] 2026-11-21 06:47:36 completed OK!', '', '   '], true],
    ['another line after it', ['[00] 2026-11-21 06:47:36 completed OK!', 'bye'], false],
    ['it inside a line', ['[00] 2026-11-21 06:47:36 completed OK! not'], false],
    ['it in other letters', ['[00] 2026-11-21 06:47:36 Completed ok!'], false],
    ['nothing at all', [], false],
  ])('are a success only with the word of success as the last: %s', (_, lines, saidOk) => {
    expect(read(lines).saidOk).toBe(saidOk)
  })

  test('are understood whatever the password is, and kept without it', () => {
    const { saidOk, stages, lastLines } = read(recorded('complete'), MARIADB_WORDS, 'completed')

    expect(saidOk).toBe(true)
    expect(stages.at(-1)).toBe('done')
    expect(lastLines.join('\n')).not.toContain('completed')
  })

  test.each([
    ['without a binary log', [], {}],
    [
      'without a GTID',
      ["[00] 2026-11-21 06:47:36 MySQL binlog position: filename 'b.1', position '4'"],
      { binlogFile: 'b.1', binlogPosition: 4 },
    ],
    [
      'with an empty GTID',
      ["[00] 2026-11-21 06:47:36 MySQL binlog position: filename 'b.1', position '4', GTID of the last change ''"],
      { binlogFile: 'b.1', binlogPosition: 4 },
    ],
  ])('tell coordinates %s', (_, lines, coordinates) => {
    expect(read(lines).coordinates).toEqual(coordinates)
  })
})

describe('the locks of mariadb-backup', () => {
  const said = (text: string): string => `[00] 2026-11-21 06:47:35 ${text}`

  test('are told from the first that others wait for to the last, and each time that we wait', () => {
    expect(waits(recorded('complete'))).toEqual([
      'Starting BACKUP STAGE START: we wait',
      'Acquired locks for BACKUP STAGE START: nobody waits',
      'Starting BACKUP STAGE FLUSH: we wait',
      'Acquired locks for BACKUP STAGE FLUSH: they wait',
      'Started BACKUP STAGE BLOCK_DDL: we wait, they wait',
      'Acquired locks for BACKUP STAGE BLOCK_DDL: they wait',
      'Starting BACKUP STAGE BLOCK_COMMIT: we wait, they wait',
      'Acquired locks for BACKUP STAGE BLOCK_COMMIT: they wait',
      'Executing BACKUP STAGE END: nobody waits',
    ])
  })

  test('are told by versions that know no stages', () => {
    const lines = [
      'Acquiring BACKUP LOCKS...',
      'Starting to backup non-InnoDB tables and files',
      'Streaming ./db/t.frm to <STDOUT>',
      'Executing FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS...',
      'Executing BACKUP STAGE END',
      'All tables unlocked',
    ].map(said)

    expect(waits(lines)).toEqual([
      'Acquiring BACKUP LOCKS...: we wait',
      'Starting to backup non-InnoDB tables and files: they wait',
      'Executing BACKUP STAGE END: nobody waits',
    ])
  })

  test.each([
    ['when it says that they are free', said('All tables unlocked')],
    ['when it has succeeded', said('completed OK!')],
  ])('are over %s', (_, line) => {
    expect(waits([said('Acquired locks for BACKUP STAGE BLOCK_COMMIT'), line])).toHaveLength(2)
  })

  test('are not waited for any more when the wait was in vain', () => {
    expect(waits(recorded('lock-timeout'))).toEqual([
      'Starting BACKUP STAGE START: we wait',
      'Error on BACKUP STAGE START query execution: nobody waits',
    ])
  })

  test('are gone with the program, whatever it said last', () => {
    const words = new WordsReader(MARIADB_WORDS, redactor(undefined))
    for (const text of ['Acquired locks for BACKUP STAGE FLUSH', 'Started BACKUP STAGE BLOCK_DDL'])
      words.take(said(text))
    const before = words.progress()

    words.end()

    expect(before).toMatchObject({ locked: true, waitingForLock: true })
    expect(words.progress()).toMatchObject({ locked: false, waitingForLock: false, stage: 'BLOCK_DDL' })
  })

  test('come with a count of all words, empty lines too', () => {
    expect(read(['one', '', 'three']).progress.words).toBe(3)
  })
})

describe('the data directory', () => {
  test.each([
    ['mariadb-backup', '[00] 2026-11-21 06:47:35 cd to /srv/database/', MARIADB_WORDS],
    ['an old mariabackup', '[00] 2019-11-21 06:47:35 mariabackup: cd to /srv/database/', MARIADB_WORDS],
    [
      'xtrabackup',
      '2024-03-01T10:00:00.123456-00:00 0 [Note] [MY-011825] [Xtrabackup] cd to /srv/database/',
      XTRABACKUP_WORDS,
    ],
  ])('is told by %s', (_, line, vocabulary) => {
    expect(new WordsReader(vocabulary, redactor('/srv')).take(line).dataDirectory).toBe('/srv/database/')
  })

  test.each(['[00] 2026-11-21 06:47:35 cd to ./', '[00] 2026-11-21 06:47:35 failed to cd to /srv', ''])(
    'is not told by: %s',
    (line) => {
      expect(new WordsReader(MARIADB_WORDS, redactor(undefined)).take(line).dataDirectory).toBeUndefined()
    },
  )
})

describe('the words of xtrabackup 8', () => {
  const stamped = (text: string): string => `2024-03-01T10:00:00.123456-00:00 2 [Note] [MY-011825] [Xtrabackup] ${text}`

  test('count a file when it begins, not when it is done', () => {
    const { progress } = read(
      [stamped('Streaming ./db/t.ibd'), stamped('Done: Streaming ./db/t.ibd')],
      XTRABACKUP_WORDS,
    )

    expect(progress).toEqual({
      stage: 'connecting',
      files: 1,
      lastFile: 'db/t.ibd',
      locked: false,
      waitingForLock: false,
      words: 2,
    })
  })

  test('tell the locks that keep others from writing: asked for from its question on, had when it goes on', () => {
    const lines = [
      'Executing LOCK INSTANCE FOR BACKUP ...',
      '>> log scanned up to (18446744073709550000)',
      'uses posix_fadvise().',
      'Executing FLUSH NO_WRITE_TO_BINLOG TABLES...',
      '>> log scanned up to (18446744073709550000)',
      'Executing FLUSH TABLES WITH READ LOCK...',
      '>> log scanned up to (18446744073709550000)',
      'Starting to backup non-InnoDB tables and files',
      'Executing FLUSH NO_WRITE_TO_BINLOG BINARY LOGS',
      'Executing UNLOCK INSTANCE',
      'All tables unlocked',
      'completed OK!',
    ].map(stamped)

    expect(waits(lines, XTRABACKUP_WORDS)).toEqual([
      'Executing LOCK INSTANCE FOR BACKUP ...: we wait',
      'uses posix_fadvise().: nobody waits',
      'Executing FLUSH NO_WRITE_TO_BINLOG TABLES...: we wait',
      'Executing FLUSH TABLES WITH READ LOCK...: we wait, they wait',
      'Starting to backup non-InnoDB tables and files: they wait',
      'Executing UNLOCK INSTANCE: nobody waits',
    ])
  })

  test.each([
    'Executing LOCK TABLES FOR BACKUP...',
    'Executing LOCK BINLOG FOR BACKUP...',
    'Executing FLUSH TABLES WITH READ LOCK...',
  ])('count as a lock: %s', (text) => {
    expect(read([stamped(text)], XTRABACKUP_WORDS).progress).toMatchObject({ locked: true, waitingForLock: true })
  })

  test('tell a set of GTIDs over several lines, and numbers beyond 2^53', () => {
    const { coordinates, lsn, saidOk } = read(
      [
        stamped("MySQL binlog position: filename 'b.7', position '157', GTID of the last change 'aaaa:1-5,"),
        'bbbb:1-7,',
        "cccc:1'",
        stamped('Transaction log of lsn (18446744073709550000) to (18446744073709551000) was copied.'),
        stamped('completed OK!'),
      ],
      XTRABACKUP_WORDS,
    )

    expect(coordinates).toEqual({ binlogFile: 'b.7', binlogPosition: 157, gtid: 'aaaa:1-5,bbbb:1-7,cccc:1' })
    expect(lsn).toEqual({ from: '18446744073709550000', to: '18446744073709551000' })
    expect(saidOk).toBe(true)
  })
})
