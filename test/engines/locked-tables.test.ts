/** Tables of MyISAM on their way through a real backup: at rest they are written while they come, and busy ones are whole too. */

import { statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

import { type TarSummary, xbstreamToTar } from '../../lib/archive/index.ts'
import { findEngine, prepareBackup } from '../../lib/engines/index.ts'
import { MARK, MIB } from '../archive/converting.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { mustRun } from '../rig/run-program.ts'
import { MemoryLog, never, Scratch } from './stand-ins.ts'

const scratch = new Scratch()
let server: ThrowawayServer

beforeAll(async () => {
  server = await ThrowawayServer.start({ redoLogBytes: 4 * MIB })
  await server.createBackupUser('backup', 'password')
  await server.query('CREATE DATABASE shop')
})

beforeEach(async () => {
  await server.query(`
    USE shop;
    CREATE OR REPLACE TABLE resting (id INT PRIMARY KEY, t CHAR(250)) ENGINE=MyISAM AS
      SELECT seq AS id, MD5(seq) AS t FROM seq_1_to_50000;
    CREATE OR REPLACE TABLE busy (id INT PRIMARY KEY AUTO_INCREMENT, t CHAR(250)) ENGINE=MyISAM AS
      SELECT seq AS id, MD5(seq) AS t FROM seq_1_to_50000;
    FLUSH TABLES;`)
})

afterAll(async () => {
  await server.discard()
  scratch.remove()
})

const fileOf = (name: string): string => join(server.dataDirectory, 'shop', name)

/** As if nobody had written to it for an hour. */
const rest = (name: string): void => {
  const anHourAgo = Date.now() / 1000 - 3600
  utimesSync(fileOf(name), anHourAgo, anHourAgo)
}

interface Backup {
  readonly tar: Buffer
  readonly summary: TarSummary
  /** Files whose size was known ahead. */
  readonly sized: readonly string[]
}

const backUp = async (): Promise<Backup> => {
  const engine = await findEngine(scratch.settings({ socket: server.socket }))
  const run = await engine.start({ user: 'backup', password: 'password', signal: never(), log: new MemoryLog() })
  if (run.kind !== 'xbstream') throw new Error('expected a program')
  const sized: string[] = []
  let summary: TarSummary | undefined
  const archive = xbstreamToTar(run.output, {
    mark: MARK,
    memoryBytes: 4 * MIB,
    spool: { directory: scratch.directory('spool'), maxBytes: 256 * MIB },
    memory: run.buffers,
    sizeOf: (path) => run.sizeOf(path),
    restingSizeOf: (path) => {
      const size = run.restingSizeOf(path)
      if (size !== undefined) sized.push(path)
      return size
    },
    mtimeMs: 0,
    beforeEnd: async (found) => {
      expect(await run.settled).toMatchObject({ saidOk: true, failure: undefined })
      summary = found
    },
  })
  const pieces: Buffer[] = []
  for await (const piece of archive) {
    pieces.push(Buffer.from(piece))
    run.buffers?.takeBack([piece])
  }
  if (summary === undefined) throw new Error('no summary')
  return { tar: Buffer.concat(pieces), summary, sized }
}

interface Restored {
  /** Everything that CHECK TABLE finds, but for warnings: an index file may have more than the index wants. */
  readonly found: readonly (readonly string[])[]
  readonly rows: { readonly resting: number; readonly busy: number }
}

/** What the server says of the tables when it runs on what was restored. */
const restored = async (tar: Buffer, directory: string): Promise<Restored> => {
  const target = scratch.directory(directory)
  const file = join(scratch.directory('archives'), `${directory}.tar`)
  writeFileSync(file, tar)
  await mustRun('tar', ['-x', '-f', file, '-C', target])
  await prepareBackup({ directory: target, engine: 'mariadb-backup', signal: never(), onLine: () => {} })
  const second = await ThrowawayServer.startOn(target)
  try {
    const checked = await second.query('CHECK TABLE shop.resting, shop.busy EXTENDED')
    const [resting, busy] = [
      await second.queryValue('SELECT COUNT(*) FROM shop.resting'),
      await second.queryValue('SELECT COUNT(*) FROM shop.busy'),
    ]
    return {
      found: checked.filter(([, , type]) => type !== 'warning').map(([table, , ...words]) => [table ?? '', ...words]),
      rows: { resting: Number(resting), busy: Number(busy) },
    }
  } finally {
    await second.discard()
  }
}

const WHOLE = [
  ['shop.resting', 'status', 'OK'],
  ['shop.busy', 'status', 'OK'],
]

test('a table that nobody has written to lately is written while it comes, and needs no disk', async () => {
  rest('resting.MYD')
  rest('busy.MYD')
  const bothBytes = statSync(fileOf('resting.MYD')).size + statSync(fileOf('busy.MYD')).size

  const { tar, summary, sized } = await backUp()

  expect(sized.toSorted()).toEqual(['shop/busy.MYD', 'shop/resting.MYD'])
  expect(summary.spooledBytes).toBeLessThan(bothBytes / 2)
  expect(summary.padded).toEqual([])
  expect(await restored(tar, 'resting')).toEqual({ found: WHOLE, rows: { resting: 50_000, busy: 50_000 } })
})

test('a table that is written to until the lock is held is whole all the same', async () => {
  rest('resting.MYD')
  let stopped = false
  const insert = async (): Promise<void> => {
    while (!stopped) await server.query("USE shop; INSERT INTO busy (t) SELECT REPEAT('n', 250) FROM seq_1_to_500")
  }
  const inserting = insert()

  const { tar, sized } = await backUp().finally(() => {
    stopped = true
  })
  await inserting

  expect(sized).toContain('shop/resting.MYD') // the other one too, where two seconds pass under the lock
  const { found, rows } = await restored(tar, 'busy')
  expect(found).toEqual(WHOLE)
  expect(rows.resting).toBe(50_000)
  expect(rows.busy % 500).toBe(0)
})
