/** A journal that was cut, bent or filled with rubbish: what is whole is kept, what is not is never believed. */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import * as fc from 'fast-check'

import { type JobRecord, readHistory } from '../../lib/history/index.ts'
import { MAX_LINE_BYTES, readLine, writeLine } from '../../lib/history/journal-line.ts'
import { ended, journalBytes, journalFile, openJournal, scratchDirectory, started } from './journals.ts'

/** A journal with two jobs, and the records after each of its lines. */
const sample = async (): Promise<{ bytes: Buffer; after: { end: number; jobs: readonly JobRecord[] }[] }> => {
  const directory = scratchDirectory()
  const journal = await openJournal(directory)
  const after: { end: number; jobs: readonly JobRecord[] }[] = [{ end: 0, jobs: [] }]
  const short = { requested: { n: 1 }, peer: 'p' }
  const events = [started('a', short), started('b', short), ended('a', { lsn: {}, outcome: 'failed', code: 'X' })]
  for (const event of events) {
    await journal.append(event)
    after.push({ end: journalBytes(directory).length, jobs: (await readHistory(directory)).jobs })
  }
  return { bytes: journalBytes(directory), after }
}

const withBytes = (directory: string, bytes: Buffer): void => {
  const path = join(directory, 'history-000001.jsonl')
  writeFileSync(path, bytes, { mode: 0o600 })
  chmodSync(path, 0o600)
}

test('cut at every byte: the whole lines before the cut are there, and nothing else', async () => {
  const { bytes, after } = await sample()
  const directory = scratchDirectory()

  for (let cut = 0; cut <= bytes.length; cut += 1) {
    withBytes(directory, bytes.subarray(0, cut))
    const { jobs, damagedLines } = await readHistory(directory)

    // A line is whole with its last brace: the line feed behind it adds nothing.
    const whole = after.findLast(({ end }) => end - 1 <= cut) ?? after[0]
    expect(jobs).toEqual(whole?.jobs)
    const torn = cut > (whole?.end ?? 0) + 1
    expect({ cut, damagedLines }).toEqual({ cut, damagedLines: torn ? 1 : 0 })
  }
})

test('cut at every byte: what is appended next stands on a line of its own', async () => {
  const { bytes, after } = await sample()

  for (let cut = 0; cut <= bytes.length; cut += 11) {
    const directory = scratchDirectory()
    withBytes(directory, bytes.subarray(0, cut))
    const journal = await openJournal(directory)
    await journal.append(started('new'))
    await journal.append(ended('new'))
    await journal.close()

    const { jobs } = await readHistory(directory)
    const whole = after.findLast(({ end }) => end - 1 <= cut) ?? after[0]
    expect(jobs.slice(0, -1)).toEqual(whole?.jobs)
    expect(jobs.at(-1)).toMatchObject({ job: 'new', state: 'delivered' })
  }
})

test('any bit of any byte turned: never fatal, never a record that was not written', async () => {
  const { bytes } = await sample()
  const directory = scratchDirectory()
  withBytes(directory, bytes)
  const written = new Map((await readHistory(directory)).jobs.map((record) => [record.job, record]))
  // What may be seen when one line is missing: the job without its end.
  const asBegun = (record: JobRecord | undefined): unknown => {
    const { job, sid, startedAt, peer, engine, engineVersion, requested, process } = record as JobRecord
    return { job, sid, startedAt, peer, engine, engineVersion, requested, process, state: 'running' }
  }

  for (let at = 0; at < bytes.length; at += 1) {
    const bent = Buffer.from(bytes)
    bent[at] = (bent[at] ?? 0) ^ (1 << (at % 8))
    withBytes(directory, bent)
    const { jobs, damagedLines } = await readHistory(directory)

    // A line feed before a line that turned is a line feed less: that costs its one line, or nothing.
    expect(damagedLines).toBe(1)
    expect(jobs.length).toBeGreaterThanOrEqual(1) // b is told by one line only
    for (const record of jobs) {
      const truth = written.get(record.job)
      if (record.state === 'running') expect(record).toEqual(asBegun(truth))
      else expect(record).toEqual(truth)
    }
  }
})

test('whole lines among any rubbish give exactly their jobs', async () => {
  const { bytes } = await sample()
  const lines = bytes.toString().split('\n').filter(Boolean)
  const directory = scratchDirectory()
  withBytes(directory, bytes)
  const truth = (await readHistory(directory)).jobs
  const rubbish = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((garbage) => Buffer.from(garbage)),
    // Parts of real lines look most like the real thing.
    fc
      .tuple(fc.nat(lines.length - 1), fc.nat(300), fc.integer({ min: 1, max: 300 }))
      .map(([line, from, length]) => Buffer.from(lines[line] ?? '').subarray(from + 1, from + 1 + length)),
    fc.json().map((text) => Buffer.from(text)),
  )

  await fc.assert(
    fc.asyncProperty(fc.array(rubbish, { minLength: 4, maxLength: 4 }), async (garbage) => {
      const parts = lines.flatMap((line, at) => [garbage[at] as Buffer, Buffer.from(`\n${line}\n`)])
      withBytes(directory, Buffer.concat([...parts, garbage[3] as Buffer]))

      expect((await readHistory(directory)).jobs).toEqual(truth)
    }),
    { numRuns: 300 },
  )
})

test('a line longer than any is one damaged line, and the next one is read', async () => {
  const { bytes, after } = await sample()
  const directory = scratchDirectory()
  withBytes(directory, Buffer.concat([Buffer.alloc(3 * MAX_LINE_BYTES, 'x'), bytes]))

  const { jobs, damagedLines } = await readHistory(directory)

  expect(jobs).toEqual(after.at(-1)?.jobs)
  expect(damagedLines).toBe(1)
})

test('a journal that is one line without an end is damage', async () => {
  const directory = scratchDirectory()
  withBytes(directory, Buffer.alloc(2 * MAX_LINE_BYTES, 'x'))

  expect(await readHistory(directory)).toEqual({ jobs: [], damagedLines: 1 })
})

test('damage is never deleted: it is still there, byte for byte, after the journal was written anew', async () => {
  const { bytes } = await sample()
  const directory = scratchDirectory()
  const bent = Buffer.from(bytes)
  bent[200] = 0
  withBytes(directory, bent)
  const journal = await openJournal(directory)

  await journal.compact()

  expect(readFileSync(join(directory, 'history-000001.damaged')).subarray(0, bent.length)).toEqual(bent)
  expect(journalFile(directory)).toBe(join(directory, 'history-000002.jsonl'))
  expect((await readHistory(directory)).damagedLines).toBe(1)
})

describe('a line', () => {
  const line = writeLine({ event: 'x', text: 'ü' }).toString().trim()

  test('stands between line feeds, and is read back', () => {
    const written = writeLine({ event: 'x', text: 'ü' }).toString()

    expect(written).toBe(`\n${line}\n`)
    expect(readLine(Buffer.from(line))).toEqual({ v: 1, event: 'x', text: 'ü' })
    expect(JSON.parse(line)).toMatchObject({ event: 'x' })
  })

  test.each([
    ['nothing', ''],
    ['only a head', line.slice(0, 26)],
    ['a digit of the checksum in upper case', line.replace(/[a-f]/, (digit) => digit.toUpperCase())],
    ['a space more', `${line} `],
    ['a space before it', ` ${line}`],
    ['two lines in one', line + line],
    ['a right checksum over what is no JSON', '{"sum":"ca978112ca1bbdca",a'],
  ])('%s is no line', (_, text) => {
    expect(readLine(Buffer.from(text))).toBeUndefined()
  })

  test('longer than what is read is a bug', () => {
    expect(() => writeLine({ text: 'x'.repeat(MAX_LINE_BYTES) })).toThrow(/^bug: /)
  })
})
