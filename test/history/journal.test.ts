/** The journal of one process: what it remembers, what it refuses, what it forgets. */

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { appendFile, open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'

import {
  type JournalEvent,
  MAX_MESSAGE_BYTES,
  newestOf,
  OUTCOMES,
  ProcessTable,
  readHistory,
} from '../../lib/history/index.ts'
import { readLine, writeLine } from '../../lib/history/journal-line.ts'
import { StateDirectory } from '../../lib/history/state-directory.ts'
import {
  DAY_MS,
  ended,
  journalBytes,
  journalFile,
  linesPerEvent,
  NOON,
  openJournal,
  scratchDirectory,
  started,
} from './journals.ts'

describe('remembering', () => {
  test('a job that has begun is running, with everything that was said and who runs it', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)

    await journal.append(started('a'))

    expect(await readHistory(directory)).toEqual({
      damagedLines: 0,
      jobs: [
        {
          state: 'running',
          job: 'a',
          sid: 'sid-of-a',
          startedAt: '2026-03-01T12:00:00.000Z',
          peer: '192.0.2.7:51234',
          engine: 'mariadb-backup',
          engineVersion: '10.11.19',
          requested: { encoding: 'application/octet-stream', 'block-size': 10_240, replication: false },
          process: await new ProcessTable().identify(process.pid),
        },
      ],
    })
  })

  test('which server a job was of, from its beginning to its end, as far as anybody knew', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    const server = { uuid: 'server-1', data: 'ibdata1-7-1' }

    await journal.append(started('a', { server }))
    await journal.append(started('b', { server: { data: 'ibdata1-7-1' } }))
    await journal.append(ended('a'))

    const { jobs } = await readHistory(directory)
    expect(jobs.map((record) => record.server)).toEqual([server, { data: 'ibdata1-7-1' }])
  })

  test.each(OUTCOMES)('a job ends once, as %s, with what is known', async (outcome) => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))

    const more = { code: 'ENGINE_FAILED', msg: 'the backup program ended with 1', padded: { files: 1, bytes: 16_384 } }
    await journal.append(ended('a', { outcome, ...more }))

    const { jobs } = await readHistory(directory)
    expect(jobs).toHaveLength(1)
    expect(jobs[0]).toMatchObject({
      state: outcome,
      endedAt: '2026-03-01T12:00:00.000Z',
      code: 'ENGINE_FAILED',
      msg: 'the backup program ended with 1',
      padded: { files: 1, bytes: 16_384 },
      bytes: 1_234_567,
      members: 42,
      sha256: 'a'.repeat(64),
      coordinates: { binlogFile: 'binlog.000003', binlogPosition: 4711, gtid: '0-1-7' },
      lsn: { from: '0', to: '18446744073709551615', checkpoint: '18446744073709551614' },
      seconds: 3.25,
      sid: 'sid-of-a',
    })
  })

  test.each([
    ['as long as it may be', 'x'.repeat(MAX_MESSAGE_BYTES), 'x'.repeat(MAX_MESSAGE_BYTES)],
    ['a byte longer', 'x'.repeat(MAX_MESSAGE_BYTES + 1), `${'x'.repeat(MAX_MESSAGE_BYTES - 3)}…`],
    ['too long, of characters of two bytes', 'ü'.repeat(2000), `${'ü'.repeat((MAX_MESSAGE_BYTES - 4) / 2)}…`],
    ['too long, of characters of four bytes', '🙂'.repeat(2000), `${'🙂'.repeat((MAX_MESSAGE_BYTES - 4) / 4)}…`],
    [
      'far too long, and of bytes that cost six in a line',
      '\0'.repeat(2 ** 20),
      `${'\0'.repeat(MAX_MESSAGE_BYTES - 3)}…`,
    ],
  ])('a message that is %s is remembered up to its limit', async (_, msg, kept) => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))

    await journal.append(ended('a', { outcome: 'failed', msg }))

    expect((await readHistory(directory)).jobs).toMatchObject([{ msg: kept }])
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(MAX_MESSAGE_BYTES)
  })

  test('a longer message, by whoever has written it, is read up to the limit', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const { sum: _, ...fields } = JSON.parse(journalBytes(directory).toString())
    const end = { event: 'ended', outcome: 'failed', endedAt: '2026-03-01T12:00:01.000Z', msg: 'x'.repeat(10_000) }

    await appendFile(journalFile(directory), writeLine({ ...fields, ...end }))

    expect(await journal.newest('sid-of-a')).toMatchObject({ msg: `${'x'.repeat(MAX_MESSAGE_BYTES - 3)}…` })
  })

  test('a line of 0.1.0, which knew neither messages nor padding, is read', async () => {
    const directory = scratchDirectory()
    await openJournal(directory)
    const line =
      '{"sum":"SUM","v":1,"event":"ended","id":"i","job":"a","sid":"s","startedAt":"2026-03-01T12:00:00.000Z",' +
      '"peer":"p","engine":"e","requested":{},"process":{"pid":1,"startTicks":"1","bootId":""},' +
      '"lsn":{"from":"1","to":"2","last":"3"},"endedAt":"2026-03-01T12:00:01.000Z","outcome":"failed","code":"X"}'
    const sum = createHash('sha256')
      .update(line.slice(line.indexOf('"v"')))
      .digest('hex')
      .slice(0, 16)

    await appendFile(journalFile(directory), `\n${line.replace('SUM', sum)}\n`)

    const { jobs, damagedLines } = await readHistory(directory)
    expect(damagedLines).toBe(0)
    expect(jobs).toMatchObject([{ job: 'a', state: 'failed', lsn: { from: '1', to: '2', last: '3' } }])
    expect(jobs[0]).not.toHaveProperty('msg')
    expect(jobs[0]).not.toHaveProperty('padded')
  })

  test('jobs stand in the order in which they began, whatever the order of their ends', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)

    for (const job of ['a', 'b', 'c']) await journal.append(started(job))
    for (const job of ['c', 'a']) await journal.append(ended(job))

    const { jobs } = await readHistory(directory)
    expect(jobs.map(({ job, state }) => `${job} ${state}`)).toEqual(['a delivered', 'b running', 'c delivered'])
  })

  test('what is known as undefined is left out', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a', { engineVersion: undefined }))

    const nothing = {
      msg: undefined,
      padded: undefined,
      code: undefined,
      bytes: undefined,
      sha256: undefined,
      coordinates: { gtid: undefined },
      lsn: {},
    }
    await journal.append(ended('a', { outcome: 'cancelled', ...nothing }))

    const { jobs } = await readHistory(directory)
    expect(jobs[0]).toMatchObject({ state: 'cancelled', coordinates: {}, lsn: {} })
    for (const name of ['code', 'msg', 'padded']) expect(jobs[0]).not.toHaveProperty(name)
    expect(jobs[0]).not.toHaveProperty('engineVersion')
  })

  test('an event is on the disk before append resolves', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    const calls: string[] = []
    const prototype = await fileHandlePrototype()
    const [write, datasync] = [prototype.write, prototype.datasync]
    const spies = [
      jest.spyOn(prototype, 'write').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
        calls.push('write')
        return Reflect.apply(write, this, args)
      } as never),
      jest.spyOn(prototype, 'datasync').mockImplementation(async function (this: FileHandle) {
        await Reflect.apply(datasync, this, [])
        calls.push('synced')
      }),
    ]

    await journal.append(started('a')).then(() => calls.push('resolved'))

    for (const spy of spies) spy.mockRestore()
    expect(calls).toEqual(['write', 'synced', 'resolved'])
  })

  test('the file is private, and each line is JSON of its own', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(join(directory, 'state'))

    await journal.append(started('a', { peer: 'zwölf\nLines "x" \u2028' }))

    const handle = await open(journalFile(join(directory, 'state')))
    const { mode } = await handle.stat()
    await handle.close()
    expect((mode & 0o777).toString(8)).toBe('600')
    const lines = journalBytes(join(directory, 'state')).toString().split('\n').filter(Boolean)
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['started'])
    expect((await readHistory(join(directory, 'state'))).jobs[0]?.peer).toBe('zwölf\nLines "x" \u2028')
  })

  test('an empty directory has an empty history', async () => {
    expect(await readHistory(scratchDirectory())).toEqual({ jobs: [], damagedLines: 0 })
  })
})

describe('one end for each job', () => {
  test('a second end is refused by the one who wrote the first, and changes nothing', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await journal.append(ended('a'))

    await expect(journal.append(ended('a', { outcome: 'failed' }))).rejects.toMatchObject({
      code: 'HISTORY_ENDED',
      facts: { job: 'a', outcome: 'delivered' },
    })

    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
    expect(linesPerEvent(directory).get('ended a')).toBe(1)
  })

  test('a second end is refused when another process wrote the first', async () => {
    const directory = scratchDirectory()
    const [one, other] = [await openJournal(directory), await openJournal(directory)]
    await one.append(started('a'))
    await other.append(ended('a', { outcome: 'interrupted' }))

    await expect(one.append(ended('a'))).rejects.toMatchObject({ code: 'HISTORY_ENDED' })

    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['interrupted'])
    expect(one.owed).toBe(0)
  })

  test('of two ends in the file the first one counts', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await journal.append(ended('a'))
    const line =
      journalBytes(directory)
        .toString()
        .split('\n')
        .find((text) => text.includes('"ended"')) ?? ''
    const { sum: _, ...fields } = JSON.parse(line)

    await appendFile(journalFile(directory), writeLine({ ...fields, outcome: 'failed' }))

    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
  })

  test('an end tells the whole job when the line of its beginning is lost', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const begun = journalBytes(directory).length
    await journal.append(ended('a'))
    const whole = (await readHistory(directory)).jobs

    const handle = await open(journalFile(directory), 'r+')
    await handle.write('#', begun - 10)
    await handle.close()

    expect(await readHistory(directory)).toEqual({ jobs: whole, damagedLines: 1 })
  })
})

describe('the newest job of a session', () => {
  test('is the one that began last, running or ended, and of no other session', async () => {
    const journal = await openJournal(scratchDirectory())
    await journal.append(started('a', { sid: 'nightly' }))
    await journal.append(started('b', { sid: 'nightly' }))
    await journal.append(started('c', { sid: 'nightly ' }))
    await journal.append(ended('b', { outcome: 'failed' }))
    await journal.append(ended('a')) // began first, ends last

    expect(await journal.newest('nightly')).toMatchObject({ job: 'b', state: 'failed' })
    await journal.append(started('d', { sid: 'nightly' }))

    expect(await journal.newest('nightly')).toMatchObject({ job: 'd', state: 'running' })
    expect(await journal.newest('night')).toBeUndefined()
    expect(await journal.newest('')).toBeUndefined()
  })

  test('is decided by the file, though the clock says otherwise', async () => {
    let now = NOON
    const journal = await openJournal(scratchDirectory(), { now: () => now })
    await journal.append(started('a', { sid: 's' }))
    now -= DAY_MS
    await journal.append(started('b', { sid: 's' }))

    expect(await journal.newest('s')).toMatchObject({ job: 'b' })
    await journal.compact()

    expect(await journal.newest('s')).toMatchObject({ job: 'b' })
  })

  test('is seen whoever wrote it, also after the journal was written anew', async () => {
    const directory = scratchDirectory()
    const [one, other] = [await openJournal(directory), await openJournal(directory)]
    await one.append(started('a', { sid: 's' }))
    expect(await other.newest('s')).toMatchObject({ job: 'a', state: 'running' })

    await other.compact()
    await other.append(started('b', { sid: 's' }))
    await other.append(ended('b', { outcome: 'cancelled' }))

    expect(await one.newest('s')).toMatchObject({ job: 'b', state: 'cancelled' })
    expect(newestOf(await readHistory(directory), 's')).toEqual(await one.newest('s'))
  })

  test('is what a reader of the history finds by the same rule', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    for (const job of ['a', 'b', 'c']) await journal.append(started(job, { sid: job === 'c' ? 't' : 's' }))

    expect(newestOf(await readHistory(directory), 's')).toMatchObject({ job: 'b' })
    expect(newestOf({ jobs: [] }, 's')).toBeUndefined()
  })

  test('waits for the event that was appended before the question', async () => {
    const journal = await openJournal(scratchDirectory())
    void journal.append(started('a'))
    void journal.append(ended('a'))

    expect(await journal.newest('sid-of-a')).toMatchObject({ job: 'a', state: 'delivered' })
  })

  test('is forgotten when the journal forgets it', async () => {
    const journal = await openJournal(scratchDirectory(), { retention: { maxJobs: 1, minJobs: 1 } })
    for (const job of ['a', 'b']) {
      await journal.append(started(job))
      await journal.append(ended(job))
    }
    await journal.compact()

    expect(await journal.newest('sid-of-a')).toBeUndefined()
    expect(await journal.newest('sid-of-b')).toMatchObject({ job: 'b' })
  })
})

describe('what cannot be', () => {
  test.each<[string, JournalEvent]>([
    ['a password as something requested', started('x', { requested: { password: 'hunter2' } })],
    ['a token as something requested', started('x', { requested: { agentToken: 't' } })],
    ['a name that would reach into every object', started('x', { requested: JSON.parse('{"__proto__": "x"}') })],
    ['a name that every object has', started('x', { requested: { constructor: 'x' } })],
    ['a name that is no name', started('x', { requested: { 'a b': 1 } })],
    ['an end of a job that never began', ended('never')],
    ['a beginning that began before', started('a')],
    ['a number of bytes that is none', ended('a', { bytes: Number.NaN })],
    ['a digest that is none', ended('a', { sha256: 'abc' })],
    ['padding of half a file', ended('a', { padded: { files: 0.5, bytes: 1 } })],
  ])('%s is a bug, and nothing is written', async (_, event) => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))

    await expect(journal.append(event)).rejects.toThrow(/^bug: /)

    const { jobs, damagedLines } = await readHistory(directory)
    expect(jobs.map(({ job, state }) => `${job} ${state}`)).toEqual(['a running'])
    expect(damagedLines).toBe(0)
    expect(journalBytes(directory).toString()).not.toContain('hunter2')
  })

  test('a line made by hand with a good checksum reaches no object but its own', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const { sum: _, ...fields } = JSON.parse(journalBytes(directory).toString())
    const evil = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": "x", "encoding": "fine"}')

    await appendFile(journalFile(directory), writeLine({ ...fields, job: 'b', requested: evil }))
    await appendFile(
      journalFile(directory),
      writeLine({ ...JSON.parse('{"__proto__": {"state": "delivered"}}'), ...fields, job: '__proto__' }),
    )

    const { jobs } = await readHistory(directory)
    expect(jobs.map(({ job }) => job)).toEqual(['a', 'b', '__proto__'])
    expect(jobs[1]?.requested).toEqual({ encoding: 'fine' })
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test.each([
    ['a job that is no text', { job: 7 }],
    ['an outcome nobody knows', { outcome: 'splendid' }],
    ['a time that is none', { endedAt: 'yesterday' }],
    ['a process without an id', { process: { startTicks: '1', bootId: '' } }],
    ['bytes as text', { bytes: '12' }],
    ['bytes below nothing', { bytes: -1 }],
    ['coordinates that are a list', { coordinates: [] }],
    ['a position that is text', { coordinates: { binlogPosition: '7' } }],
    ['an LSN that is a number', { lsn: { to: 7 } }],
    ['a checkpoint that is a number', { lsn: { checkpoint: 7 } }],
    ['a message that is a list', { msg: ['why'] }],
    ['a message that is nothing', { msg: null }],
    ['padding that is a number', { padded: 3 }],
    ['padding without its files', { padded: { bytes: 3 } }],
    ['padding without its bytes', { padded: { files: 3 } }],
    ['padding below nothing', { padded: { files: 1, bytes: -1 } }],
    ['requested as text', { requested: 'all' }],
    ['a version that is a number', { engineVersion: 10 }],
    ['a server that is a text', { server: 'server-1' }],
    ['a server whose name is a number', { server: { uuid: 1 } }],
  ])('%s makes a line damaged though its checksum is right', async (_, wrong) => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await journal.append(ended('a'))
    const line =
      journalBytes(directory)
        .toString()
        .split('\n')
        .find((text) => text.includes('"ended"')) ?? ''
    const { sum: __, ...fields } = JSON.parse(line)

    await appendFile(journalFile(directory), writeLine({ ...fields, job: 'b', ...wrong }))

    const { jobs, damagedLines } = await readHistory(directory)
    expect(jobs.map(({ job }) => job)).toEqual(['a'])
    expect(damagedLines).toBe(1)
  })
})

describe('writing the journal anew', () => {
  test('forgets the oldest ended jobs over the number, never one that runs', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory, { retention: { maxJobs: 4, minJobs: 2 } })
    await journal.append(started('runs'))
    for (const job of ['a', 'b', 'c', 'd', 'e']) {
      await journal.append(started(job))
      await journal.append(ended(job))
    }
    expect(await journal.compactWhenDue()).toBeUndefined() // a quarter more may stand
    await journal.append(started('f'))
    await journal.append(ended('f'))

    expect(await journal.compactWhenDue()).toEqual({ droppedJobs: 2 })

    expect((await readHistory(directory)).jobs.map(({ job }) => job)).toEqual(['runs', 'c', 'd', 'e', 'f'])
    expect(readdirSync(directory)).toEqual(['history-000002.jsonl'])
  })

  test('forgets by age, but keeps the newest few even if a clock was wrong', async () => {
    const directory = scratchDirectory()
    let now = NOON
    const journal = await openJournal(directory, { now: () => now, retention: { maxAgeDays: 10, minJobs: 2 } })
    for (const job of ['a', 'b', 'c']) {
      await journal.append(started(job))
      await journal.append(ended(job))
    }
    expect(await journal.compactWhenDue()).toBeUndefined()
    now += 1000 * DAY_MS

    expect(await journal.compactWhenDue()).toEqual({ droppedJobs: 1 })

    expect((await readHistory(directory)).jobs.map(({ job }) => job)).toEqual(['b', 'c'])
    expect(await journal.compactWhenDue()).toBeUndefined()
  })

  test('keeps lines of a later version and fields it does not know, byte for byte', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const { sum: _, ...fields } = JSON.parse(journalBytes(directory).toString())
    const foreign = [
      writeLine({ ...fields, job: 'b', mood: { good: true } }),
      writeLine({ v: 2, event: 'started', job: 'c', shape: 'unheard of' }),
      writeLine({ event: 'restored', job: 'a', at: 'some day' }),
    ]
    for (const line of foreign) await appendFile(journalFile(directory), line)

    await journal.compact()
    await journal.compact()

    const bytes = journalBytes(directory)
    for (const line of foreign) expect(bytes.includes(line)).toBe(true)
    const { jobs, damagedLines } = await readHistory(directory)
    expect(jobs.map(({ job }) => job)).toEqual(['a', 'b'])
    expect(damagedLines).toBe(0)
  })

  test('keeps the damaged file whole, once, and goes on counting its lines', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await appendFile(journalFile(directory), '\n{"half of a li\n')

    await journal.compact()
    await journal.compact()

    expect(readdirSync(directory).sort()).toEqual(['history-000001.damaged', 'history-000003.jsonl'])
    expect(readFileSync(join(directory, 'history-000001.damaged'), 'utf8')).toContain('{"half of a li')
    const { jobs, damagedLines } = await readHistory(directory)
    expect(jobs.map(({ job }) => job)).toEqual(['a'])
    expect(damagedLines).toBe(1)
  })

  test('keeps no more than sixteen damaged files', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)

    for (let round = 0; round < 20; round += 1) {
      await appendFile(journalFile(directory), 'x\n')
      await journal.compact()
    }

    const kept = readdirSync(directory)
      .filter((name) => name.endsWith('.damaged'))
      .sort()
    expect(kept).toHaveLength(16)
    expect(kept.at(-1)).toBe('history-000020.damaged')
    expect((await readHistory(directory)).damagedLines).toBe(20)
  })

  test('a journal that was open follows, and its jobs go on', async () => {
    const directory = scratchDirectory()
    const [one, other] = [await openJournal(directory), await openJournal(directory)]
    await one.append(started('a'))

    await other.compact()
    await one.append(ended('a'))

    expect((await readHistory(directory)).jobs.map(({ job, state }) => `${job} ${state}`)).toEqual(['a delivered'])
    expect(readdirSync(directory)).toEqual(['history-000002.jsonl'])
  })

  test('a line behind a seal counts for nothing, and its writer says it again in the next generation', async () => {
    const directory = scratchDirectory()
    const [one, other] = [await openJournal(directory), await openJournal(directory)]
    await one.append(started('a'))
    await other.append(started('b'))
    const seal = writeLine({ event: 'sealed', id: 'of-the-test', at: '2026-03-01T12:00:00.000Z' })
    // The seal falls between the moment the writer looked and its write.
    const prototype = await fileHandlePrototype()
    const { write } = prototype
    const spy = jest.spyOn(prototype, 'write').mockImplementationOnce(async function (
      this: FileHandle,
      ...args: unknown[]
    ) {
      await appendFile(journalFile(directory), seal)
      return Reflect.apply(write, this, args)
    } as never)

    await one.append(ended('a'))
    spy.mockRestore()

    expect(readdirSync(directory)).toEqual(['history-000002.jsonl'])
    expect((await readHistory(directory)).jobs.map(({ job, state }) => `${job} ${state}`)).toEqual([
      'a delivered',
      'b running',
    ])
    expect([...linesPerEvent(directory)]).toEqual([
      ['started a', 1],
      ['started b', 1],
      ['ended a', 1],
    ])
  })

  test('a sealed journal whose maker died is finished by the next one who comes', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await appendFile(journalFile(directory), writeLine({ event: 'sealed', id: 'x', at: '2026-03-01T12:00:00.000Z' }))
    await appendFile(join(directory, 'history-000002.of-the-dead.part'), 'half')

    await journal.append(ended('a'))

    expect(readdirSync(directory)).toEqual(['history-000002.jsonl'])
    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
  })

  test('a sealed journal is read up to its seal', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    const line = journalBytes(directory)
    await appendFile(journalFile(directory), writeLine({ event: 'sealed', id: 'x' }))
    const { sum: _, ...fields } = readLine(Buffer.from(line.toString().trim())) ?? {}
    await appendFile(journalFile(directory), writeLine({ ...fields, job: 'void' }))

    const { jobs, damagedLines } = await readHistory(directory)

    expect(jobs.map(({ job }) => job)).toEqual(['a'])
    expect(damagedLines).toBe(0)
  })

  test('a leftover with a lower number is not listened to, and goes', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    for (let round = 0; round < 4; round += 1) await journal.compact()
    await appendFile(join(directory, 'history-000003.jsonl'), '', { mode: 0o600 })

    await journal.append(ended('a'))
    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
    await journal.compact()

    expect(readdirSync(directory)).toEqual(['history-000006.jsonl'])
  })

  test('a line that went into a leftover is said again where it counts', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    for (let round = 0; round < 3; round += 1) await journal.compact()
    await appendFile(join(directory, 'history-000002.jsonl'), '', { mode: 0o600 })
    // As a listing may show it while one generation is replaced by the next.
    const spy = jest.spyOn(StateDirectory.prototype, 'current').mockResolvedValueOnce(2)

    await journal.append(ended('a'))
    spy.mockRestore()

    expect(journalBytes(directory).toString()).toContain('"delivered"')
    expect((await readHistory(directory)).jobs.map(({ state }) => state)).toEqual(['delivered'])
  })

  test('what a dead maker left is gone after the next start', async () => {
    const directory = scratchDirectory()
    await appendFile(join(directory, 'history-000009.of-the-dead.part'), 'half')

    await openJournal(directory)

    expect(readdirSync(directory)).toEqual(['history-000001.jsonl'])
  })

  test('whoever emptied the directory loses the past, not the job that runs', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    rmSync(journalFile(directory))

    await journal.append(ended('a'))

    expect(existsSync(join(directory, 'history-000001.jsonl'))).toBe(true)
    expect((await readHistory(directory)).jobs.map(({ job, state }) => `${job} ${state}`)).toEqual(['a delivered'])
  })
})

/** What every FileHandle inherits from: Node exports no name for it. */
const fileHandlePrototype = async (): Promise<FileHandle> => {
  const handle = await open('/dev/null')
  await handle.close()
  return Object.getPrototypeOf(handle) as FileHandle
}
