/** Journals for tests: a directory of their own, a clock that stands, names that count. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach } from '@jest/globals'

import { type EndedEvent, Journal, type JournalOptions, type StartedEvent } from '../../lib/history/index.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

export const NOON = Date.UTC(2026, 2, 1, 12)
export const DAY_MS = 86_400_000

const directories: string[] = []
const journals: Journal[] = []

afterEach(async () => {
  for (const journal of journals.splice(0)) await journal.close()
  for (const directory of directories.splice(0)) await removeGuardedDirectory(directory)
})

export const scratchDirectory = (): string => {
  const directory = makeGuardedDirectory('history')
  directories.push(directory)
  return directory
}

/** Names that no two journals of one test run share. */
let names = 0
export const newId = (): string => {
  names += 1
  return `id-${String(names).padStart(6, '0')}`
}

export const openJournal = async (directory: string, options: Partial<JournalOptions> = {}): Promise<Journal> => {
  const journal = await Journal.open({ directory, now: () => NOON, newId, ...options })
  journals.push(journal)
  return journal
}

export const started = (job: string, more: Partial<StartedEvent> = {}): StartedEvent => ({
  event: 'started',
  job,
  sid: `sid-of-${job}`,
  peer: '192.0.2.7:51234',
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
  requested: { encoding: 'application/octet-stream', 'block-size': 10_240, replication: false },
  ...more,
})

export const ended = (job: string, more: Partial<EndedEvent> = {}): EndedEvent => ({
  event: 'ended',
  job,
  outcome: 'delivered',
  bytes: 1_234_567,
  members: 42,
  sha256: 'a'.repeat(64),
  coordinates: { binlogFile: 'binlog.000003', binlogPosition: 4711, gtid: '0-1-7' },
  lsn: { from: '0', to: '18446744073709551615', checkpoint: '18446744073709551614' },
  seconds: 3.25,
  ...more,
})

/** The current journal, as it stands on the disk. */
export const journalFile = (directory: string): string => {
  const name = readdirSync(directory)
    .filter((found) => found.endsWith('.jsonl'))
    .sort()
    .at(-1)
  if (name === undefined) throw new Error(`no journal in ${directory}`)
  return join(directory, name)
}

export const journalBytes = (directory: string): Buffer => readFileSync(journalFile(directory))

/** How often each event of each job stands in the current journal: `started job-1` → 1. */
export const linesPerEvent = (directory: string): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const line of journalBytes(directory).toString().split('\n')) {
    if (line === '') continue
    const { event, job } = JSON.parse(line) as { event: string; job?: string }
    if (job === undefined) continue
    counts.set(`${event} ${job}`, (counts.get(`${event} ${job}`) ?? 0) + 1)
  }
  return counts
}
