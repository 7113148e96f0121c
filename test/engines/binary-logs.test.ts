import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { binaryLogsEngine, type FilesRun } from '../../lib/engines/index.ts'
import { silentLogger } from '../../lib/log/index.ts'

let scratch: string
let directory: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'binary-logs-'))
})
beforeEach(() => {
  directory = mkdtempSync(join(scratch, 'logs-'))
  for (const { name, sizeBytes } of LOGS) writeFileSync(join(directory, name), Buffer.alloc(sizeBytes, name))
})
afterAll(() => rmSync(scratch, { recursive: true }))

const LOGS = [
  { name: 'bin.000009', sizeBytes: 600_000 },
  { name: 'bin.000010', sizeBytes: 5 },
  { name: 'bin.000011', sizeBytes: 600_000 },
]

const start = async (logs = LOGS, controller = new AbortController()): Promise<FilesRun> =>
  (await binaryLogsEngine({ directory, logs }).start({ signal: controller.signal, log: silentLogger() })) as FilesRun

/** Reads everything, and does something when a file is about to be read. */
const readAll = async (run: FilesRun, meanwhile: (path: string) => void = () => undefined): Promise<string[]> => {
  const read: string[] = []
  for await (const entry of run.entries) {
    meanwhile(entry.path)
    let bytes = 0
    for await (const piece of entry.body()) bytes += piece.length
    read.push(`${entry.path} ${bytes}`)
  }
  return read
}

test('reads the files in their order, and says where the last one ends', async () => {
  const run = await start()

  const read = await readAll(run)

  expect(read).toEqual(['bin.000009 600000', 'bin.000010 5', 'bin.000011 600000'])
  expect(run.totals).toEqual({ entries: 3, bytes: 1_200_005 })
  expect(await run.settled).toMatchObject({
    failure: undefined,
    saidOk: true,
    coordinates: { binlogFile: 'bin.000011', binlogPosition: 600_000 },
  })
})

describe('does not start when a file is not what the server says', () => {
  test.each<[string, () => void, RegExp]>([
    ['it has another size', () => appendFileSync(join(directory, 'bin.000010'), 'x'), /has 5 bytes, found 6/],
    ['it is not there', () => unlinkSync(join(directory, 'bin.000010')), /ENOENT/],
    [
      'it is a symbolic link',
      () => {
        renameSync(join(directory, 'bin.000010'), join(directory, 'elsewhere'))
        symlinkSync('elsewhere', join(directory, 'bin.000010'))
      },
      /ELOOP/,
    ],
    [
      'it is a directory',
      () => {
        unlinkSync(join(directory, 'bin.000010'))
        mkdirSync(join(directory, 'bin.000010'))
      },
      /not a file/,
    ],
  ])('%s', async (_, spoil, why) => {
    spoil()

    await expect(start()).rejects.toMatchObject({ code: 'SERVER_BINLOG_UNREADABLE' })
    await expect(start()).rejects.toThrow(why)
  })

  test.each(['../bin.000010', 'bin', '.000010/', 'a b.000001', ''])('its name is %j', async (name) => {
    await expect(start([{ name, sizeBytes: 5 }])).rejects.toMatchObject({ code: 'SERVER_BINLOG_UNREADABLE' })
  })
})

describe('fails', () => {
  test.each<[string, string, () => void]>([
    ['when a log is removed before it was read', 'removed', () => unlinkSync(join(directory, 'bin.000011'))],
    ['when a log that is still to be read grows', 'bytes', () => appendFileSync(join(directory, 'bin.000011'), 'x')],
    ['when a log that was read already grows', 'bytes', () => appendFileSync(join(directory, 'bin.000009'), 'x')],
    [
      'when a log is replaced by another file',
      'replaced',
      () => {
        writeFileSync(join(directory, 'new'), Buffer.alloc(600_000))
        renameSync(join(directory, 'new'), join(directory, 'bin.000011'))
      },
    ],
  ])('%s', async (_, why, spoil) => {
    const run = await start()

    const reading = readAll(run, (path) => path === 'bin.000010' && spoil())

    await expect(reading).rejects.toMatchObject({
      code: 'SERVER_BINLOG_CHANGED',
      message: expect.stringContaining(why),
    })
    expect((await run.settled).failure).toMatchObject({ code: 'SERVER_BINLOG_CHANGED' })
  })
})

test('takes no harm from a log that is removed when it was read already', async () => {
  const run = await start()

  await readAll(run, (path) => path === 'bin.000010' && unlinkSync(join(directory, 'bin.000009')))

  expect((await run.settled).failure).toBeUndefined()
})

test('settles when it is cancelled, also when nobody reads', async () => {
  const controller = new AbortController()
  const run = await start(LOGS, controller)

  controller.abort()

  expect((await run.settled).failure).toMatchObject({ code: 'JOB_CANCELLED' })
})
