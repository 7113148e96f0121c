/** What the agent remembers, after somebody or something has damaged it. */

import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Journal, readHistory } from '../../../lib/history/index.ts'
import { JobLedger } from '../../../lib/history/job-ledger.ts'
import { readLine, writeLine } from '../../../lib/history/journal-line.ts'
import type { SeededRandom } from '../../faults/seeded-random.ts'
import { shown, type Target, type Trace, whole } from '../target.ts'

const STARTED = {
  event: 'started',
  ...{ id: 'l1', job: 'j1', sid: 'nightly', startedAt: '2026-01-01T00:00:00.000Z', peer: '127.0.0.1:1' },
  ...{ engine: 'mariadb-backup', engineVersion: '10.11.19', requested: { encoding: 'framed' } },
  process: { pid: 1, startTicks: '1', bootId: 'b' },
}
const ENDED = {
  ...STARTED,
  ...{ event: 'ended', id: 'l2', endedAt: '2026-01-01T00:00:01.000Z', outcome: 'delivered', bytes: 5, members: 1 },
  ...{ sha256: 'ab'.repeat(32), coordinates: { binlogFile: 'b.1', binlogPosition: 4 }, lsn: { to: '5' }, seconds: 1.5 },
  padded: { files: 0, bytes: 0 },
}
const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  Number.MAX_VALUE,
  2 ** 53,
  '',
  'a',
  [],
  {},
  { __proto__: { a: 1 } },
  [[[[[]]]]],
  '\u009b',
  'x'.repeat(3000),
]

const anyFields = (random: SeededRandom): Record<string, unknown> => {
  const fields: Record<string, unknown> = {
    ...random.pick([STARTED, ENDED, { event: 'sealed' }, { event: 'generation', damagedLines: 2 }, { event: 'later' }]),
  }
  const names = [...Object.keys(ENDED), 'v', 'msg', 'code', '__proto__', 'toString']
  for (let changes = random.between(0, 2); changes > 0; changes -= 1) {
    Object.defineProperty(fields, random.pick(names), { value: random.pick(ODD), enumerable: true, configurable: true })
  }
  return fields
}

const composeJournal = (random: SeededRandom): Buffer =>
  Buffer.concat(Array.from({ length: random.between(0, 5) }, () => writeLine(anyFields(random))))

const HEAD = '{"sum":"'
const SUM_END = HEAD.length + 16

/** Makes the checksums right: what is damaged then was written by somebody who knows how. */
const mendJournal = (bytes: Buffer): Buffer => {
  const lines = bytes.toString('latin1').split('\n')
  const mended = lines.map((line) => {
    if (!line.startsWith(HEAD) || line.length <= SUM_END + 2) return line
    const body = Buffer.from(line.slice(SUM_END + 2), 'latin1')
    return `${HEAD}${sumOf(body)}",${body.toString('latin1')}`
  })
  return Buffer.from(mended.join('\n'), 'latin1')
}

/** The format's own, from its description: SHA-256, the first 16 digits. */
const sumOf = (body: Buffer): string => createHash('sha256').update(body).digest('hex').slice(0, 16)

const DICTIONARY = [
  '{"sum":"',
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\n',
  '\\u0000',
  '\\ud800',
  '"v":2',
  '"event":"sealed"',
  '"job":',
  '"__proto__":',
  '1e999',
  '-0',
]

export const HISTORY_LINE: Target = {
  name: 'history-line',
  side: 'host',
  does: 'the lines of a journal, one after the other, into the ledger of jobs',
  inputs: 60_000,
  quickInputs: 800,
  maxInputBytes: 1_100_000,
  dictionary: DICTIONARY,
  isPiecewise: false,
  compose: composeJournal,
  mend: mendJournal,
  feed: (chunks, trace) => {
    const ledger = new JobLedger()
    for (const line of whole(chunks).toString('latin1').split('\n')) {
      if (line === '') continue
      const bytes = Buffer.from(line, 'latin1')
      trace.say(`${ledger.take(bytes).kind} ${readLine(bytes) === undefined ? 'damaged' : 'well'}`)
    }
    trace.say(shown(ledger.jobs))
    if (Object.hasOwn(Object.prototype, 'a')) throw new Error('a line has changed the prototype of all objects')
    return ledger.jobs.length > 0 ? 'jobs' : 'no jobs'
  },
}

let home = ''
let made = 0

export const JOURNAL: Target = {
  name: 'journal',
  side: 'host',
  does: 'a damaged journal file: it is read, and the next backup is remembered in it all the same',
  inputs: 1000,
  quickInputs: 20,
  maxInputBytes: 1_100_000,
  dictionary: DICTIONARY,
  isPiecewise: false,
  compose: composeJournal,
  mend: mendJournal,
  open: async () => {
    home = mkdtempSync(join(tmpdir(), 'fuzz-journal-'))
  },
  close: async () => rmSync(home, { recursive: true }),
  feed: async (chunks, trace) => {
    made += 1
    const state = join(home, String(made))
    mkdirSync(state, { mode: 0o700 })
    try {
      return await rememberIn(state, whole(chunks), trace)
    } finally {
      rmSync(state, { recursive: true })
    }
  },
}

const rememberIn = async (state: string, bytes: Buffer, trace: Trace): Promise<string> => {
  writeFileSync(join(state, 'history-000001.jsonl'), bytes, { mode: 0o600 })
  const before = await readHistory(state)
  trace.say(`${shown(before.jobs)} ${before.damagedLines}`)
  let ids = 0
  const newId = (): string => {
    ids += 1
    return `new-${ids}`
  }
  const journal = await Journal.open({ directory: state, now: () => 0, newId })
  try {
    await journal.append({ event: 'started', job: 'of-today', sid: 'today', peer: 'p', engine: 'e', requested: {} })
    await journal.append({ event: 'ended', job: 'of-today', outcome: 'delivered' })
  } finally {
    await journal.close()
  }
  const after = await readHistory(state)
  const mine = after.jobs.find(({ job }) => job === 'of-today')
  if (mine?.state !== 'delivered') throw new Error(`a backup of today is remembered as ${mine?.state ?? 'nothing'}`)
  const lost = before.jobs.filter((job) => !after.jobs.some((one) => one.job === job.job))
  if (lost.length > 0) throw new Error(`${lost.length} jobs that could be read are forgotten`)
  return before.damagedLines > 0 ? 'damaged' : 'well'
}
