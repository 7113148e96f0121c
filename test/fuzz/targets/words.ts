/** The words of a backup program on its stderr: lines, facts, signs of failure, and no secret in what is kept. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { classifyFailure } from '../../../lib/engines/classify-failure.ts'
import { MARIADB_WORDS } from '../../../lib/engines/mariadb-words.ts'
import { redactor } from '../../../lib/engines/redaction.ts'
import { StderrLines } from '../../../lib/engines/stderr-lines.ts'
import { WordsReader } from '../../../lib/engines/words-reader.ts'
import { XTRABACKUP_WORDS } from '../../../lib/engines/xtrabackup-words.ts'
import { FIXTURES } from '../corpus.ts'
import { shown, type Target } from '../target.ts'

const CANARY = 'c4n4ry "quoted" pa$$word'

/** The last lines of a program, redacted: 64 KiB, and what a line may be longer than a line. */
const MAX_KEPT_CHARACTERS = 80 * 1024

export const ENGINE_WORDS: Target = {
  name: 'engine-words',
  side: 'host',
  does: 'stderr of both families of backup programs, and why they are said to have failed',
  inputs: 30_000,
  quickInputs: 300,
  maxInputBytes: 120_000,
  dictionary: [
    ...[
      'completed OK!\n',
      'Failed to connect to MariaDB server: ',
      'Access denied ',
      'missing required privilege ',
      ' on ',
    ],
    ...[
      ' command denied to user',
      'Was only able to copy log from 1 to 2, not 3',
      'redo log ',
      ' overwritten',
      'IDENTIFIED BY ',
    ],
    ...[
      'IDENTIFIED ',
      'BY ',
      'A ',
      'error ',
      'failed ',
      'GRANT ALL TO `a`@`b`',
      'Streaming ',
      ' to <STDOUT>',
      'Copied file ',
      ' for table ',
    ],
    ...[
      "binlog position: filename '",
      "', position '",
      "', GTID of the last change '",
      "'",
      'from LSN 1 to 2 was copied',
    ],
    ...[
      '[00] 2026-11-21 06:47:35 ',
      '2026-11-21  6:47:36 0 [Note] InnoDB: ',
      'Acquired locks for BACKUP STAGE ',
      '\x1b[31m',
      '\u009b',
      '\r\n',
      '\n',
    ],
    ...[
      `${CANARY}\n`,
      CANARY,
      `*${'0123456789ABCDEF'.repeat(3).slice(0, 40)}`,
      'cd to /var/lib/mysql/\n',
      'you need (at least one of) the SUPER, ',
    ],
  ],
  isPiecewise: true,
  seeds: () =>
    readdirSync(join(FIXTURES, 'engines'))
      .filter((name) => name.endsWith('.txt'))
      .sort()
      .map((name) => readFileSync(join(FIXTURES, 'engines', name)).subarray(-7000)),
  feed: (chunks, trace) => {
    const lines = new StderrLines()
    const readers = [MARIADB_WORDS, XTRABACKUP_WORDS].map((words) => new WordsReader(words, redactor(CANARY)))
    const take = (line: string): void => {
      for (const reader of readers) trace.say(shown(reader.take(line)))
    }
    for (const chunk of chunks) for (const line of lines.push(chunk)) take(line)
    for (const line of lines.end()) take(line)
    for (const [index, reader] of readers.entries()) {
      reader.end()
      const seen = reader.seen()
      const failure = classifyFailure({
        ...{ name: index === 0 ? 'mariadb-backup' : 'xtrabackup', user: 'backup', cancelled: undefined },
        ...{ end: { exitCode: 1, signal: undefined }, seen },
      })
      if (failure === undefined) throw new Error('a program that exits with 1 is said to have succeeded')
      const kept = shown([
        seen.lastLines,
        [...seen.signs.privileges],
        seen.signs,
        failure.message,
        failure.hint,
        failure.facts,
      ])
      if (kept.includes(CANARY) || kept.includes(JSON.stringify(CANARY).slice(1, -1)))
        throw new Error('the password is kept')
      if (shown(seen.lastLines).length > MAX_KEPT_CHARACTERS * 2) throw new Error('more than the last lines is kept')
      trace.say(`${failure.code} ${failure.message} ${failure.hint}`)
    }
    return 'read'
  },
}
