/**
 * A full backup and increments of a server that is being written to, from one command to the other.
 *
 * Real server, real agent, real client: what is restored must be what was there at the very
 * transaction that the last receipt names, and what is no chain must not be touched.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { TarReader } from '../../lib/archive/index.ts'
import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { fetchBackup, type FetchOptions, type Receipt, restoreBackup, verifyBackup } from '../../lib/client/index.ts'
import { JOURNAL } from '../demo/fill.ts'
import { Writer } from '../demo/writer.ts'
import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { forgetProcess, watchProcess } from '../rig/guard.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { plainEnvironment, runProgram } from '../rig/run-program.ts'

/** With these the server writes a checkpoint soon after each change, and not when its redo log is full. */
const CHECKPOINTS = ['--innodb-max-dirty-pages-pct=0', '--innodb-max-dirty-pages-pct-lwm=0']

const LINKS = ['full', 'first', 'second', 'third'] as const
const JOURNAL_TABLE = `${JOURNAL.database}.${JOURNAL.name}`

let home: string
let server: ThrowawayServer
let agent: RunningAgent
/** By the names of `LINKS`. */
const receipts: Receipt[] = []
/** What the server held at its end, beside the journal. */
let checksums: unknown
/** The transaction before the first row of the journal. */
let firstTransaction: number

const archive = (name: string): string => join(home, `${name}.tar`)
const fetching = (of: RunningAgent, options: Partial<FetchOptions>): Promise<Receipt> =>
  fetchBackup({
    host: of.host,
    port: of.port,
    user: 'backup',
    password: 's3cUre',
    target: { file: join(home, 'nothing.tar') },
    ...options,
  }).receipt

const tables = 'shop.items, shop.notes, shop.prices, shop.later'
const checksumsOf = (of: ThrowawayServer) => of.query(`CHECKSUM TABLE ${tables} EXTENDED`)

const lastCheckpoint = async (): Promise<bigint> =>
  BigInt((await server.query(`SHOW GLOBAL STATUS LIKE 'Innodb_lsn_last_checkpoint'`))[0]?.[1] ?? '0')

/** Returns when the server has written a checkpoint that is newer than a backup. */
const checkpointAfter = async (lsn: string): Promise<void> => {
  while ((await lastCheckpoint()) <= BigInt(lsn)) await new Promise((resolve) => setImmediate(resolve))
}

/** Of changes that are in no binary log the positions tell nothing: so the journal alone counts transactions. */
const CHANGES: readonly string[] = [
  `UPDATE shop.items SET t = MD5(t) WHERE id % 3 = 0; CREATE TABLE shop.later (id INT PRIMARY KEY) AS SELECT seq AS id FROM seq_1_to_2000;`,
  `INSERT INTO shop.notes SELECT seq, 'more' FROM seq_101_to_300; ALTER TABLE shop.items ADD COLUMN n INT DEFAULT 7; DELETE FROM shop.items WHERE id > 15000;`,
  `DROP TABLE shop.gone; UPDATE shop.prices SET cents = cents + 1; INSERT INTO shop.later SELECT seq FROM seq_2001_to_9000;`,
]

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'increments-'))
  server = await ThrowawayServer.start({ binaryLog: true, options: CHECKPOINTS })
  await server.createBackupUser('backup', 's3cUre')
  await server.query(`
    CREATE DATABASE shop; USE shop;
    CREATE TABLE items (id INT PRIMARY KEY, t CHAR(200)) AS SELECT seq AS id, MD5(seq) AS t FROM seq_1_to_20000;
    CREATE TABLE notes (id INT PRIMARY KEY, t TEXT) ENGINE=MyISAM AS SELECT seq AS id, 'note' AS t FROM seq_1_to_100;
    CREATE TABLE prices (id INT PRIMARY KEY, cents INT) ENGINE=Aria AS SELECT seq AS id, seq AS cents FROM seq_1_to_5000;
    CREATE TABLE gone (id INT PRIMARY KEY);
    CREATE TABLE ${JOURNAL.name} (id INT PRIMARY KEY, at DATETIME(6) NOT NULL, what VARCHAR(200) NOT NULL);
  `)
  firstTransaction = transactionOf(await server.queryValue('SELECT @@gtid_binlog_pos'))
  agent = await startAgent({
    port: 0,
    engine: 'mariadb-backup',
    socket: server.socket,
    stateDirectory: join(home, 'state'),
  })

  const writer = await Writer.start(server)
  for (const [index, name] of LINKS.entries()) {
    const before = receipts.at(-1)
    const upon = before === undefined ? {} : { incrementalFrom: archive(LINKS[index - 1] ?? '') }
    if (before !== undefined) {
      await server.query(`SET sql_log_bin = 0; USE shop; ${CHANGES[index - 1]}`)
      await checkpointAfter(before.lsn.to ?? '')
    }
    receipts.push(await fetching(agent, { ...upon, sid: name, target: { file: archive(name) } }))
  }
  // On past the last backup: what was written since must not be in it.
  const last = writer.confirmed
  while (writer.confirmed < last + 20) await new Promise((resolve) => setImmediate(resolve))
  await writer.stop()
  checksums = await checksumsOf(server)
})

afterAll(async () => {
  await agent?.stop()
  await server?.discard()
  rmSync(home, { recursive: true, force: true })
})

/** `0-1-4711` */
const transactionOf = (gtid: string): number => Number(/^0-1-(\d+)$/.exec(gtid)?.[1])

describe('a full backup and three increments of a server that is being written to', () => {
  test('follow each other, and their receipts say upon what', () => {
    const [full, ...increments] = receipts

    expect(full).toMatchObject({
      backupType: 'full-backuped',
      lsn: { from: '0' },
      server: { uuid: expect.any(String) },
    })
    expect(full?.base).toBeUndefined()
    for (const [index, increment] of increments.entries()) {
      const before = receipts[index] as Receipt
      expect(increment).toMatchObject({
        proof: 'agent-verdict',
        backupType: 'incremental',
        base: { sid: LINKS[index], sha256: before.sha256, lsn: before.lsn.to },
        server: full?.server,
      })
      expect(increment.lsn.from).toBe(before.lsn.to)
      expect(BigInt(increment.lsn.to ?? '')).toBeGreaterThan(BigInt(increment.lsn.from ?? ''))
    }
  })

  test('are whole each, as verify says, and a changed bit in an increment is found', async () => {
    for (const [index, name] of LINKS.entries()) {
      await expect(verifyBackup(archive(name), { requireVerdict: true })).resolves.toMatchObject({
        sha256: receipts[index]?.sha256,
        backupType: receipts[index]?.backupType,
      })
    }
    const changed = join(home, 'changed.tar')
    copyFileSync(archive('second'), changed)
    copyFileSync(`${archive('second')}.receipt`, `${changed}.receipt`)
    flipBit(changed)

    await expect(verifyBackup(changed)).rejects.toMatchObject({ code: 'CLIENT_RECEIPT' })
  })

  test('are restored by one command to the very transaction that the last receipt names', async () => {
    const target = join(home, 'restored')

    const { exitCode, stdout, stderr } = await client(['restore', ...LINKS.map(archive), '--target', target, '--json'])

    expect([exitCode, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'RESTORED',
      increments: 3,
      proof: 'agent-verdict',
      coordinates: receipts[3]?.coordinates,
      lsn: { from: '0', to: receipts[3]?.lsn.to },
    })
    expect(leftovers('restored')).toEqual(['restored'])
    const restored = await ThrowawayServer.startOn(target)
    try {
      const rows = transactionOf(receipts[3]?.coordinates.gtid ?? '') - firstTransaction
      const journal = (where: string) =>
        `SELECT COUNT(*), MIN(id), MAX(id), BIT_XOR(CRC32(CONCAT_WS('/', id, at, what))) FROM ${JOURNAL_TABLE} ${where}`
      const found = await restored.query(journal(''))
      expect(found).toEqual(await server.query(journal(`WHERE id <= ${rows}`)))
      expect(found[0]?.slice(0, 3)).toEqual([String(rows), '1', String(rows)])
      expect(rows).toBeGreaterThan(100)
      expect(await checksumsOf(restored)).toEqual(checksums)
      expect(await restored.query(`SHOW TABLES IN shop LIKE 'gone'`)).toEqual([])

      await refuseItsOwnHistory(restored)
    } finally {
      await restored.discard()
    }
  })
})

/** The restored server is another one: numbers and names may fit, its history does not. */
const refuseItsOwnHistory = async (restored: ThrowawayServer): Promise<void> => {
  const other = await startAgent({
    port: 0,
    engine: 'mariadb-backup',
    socket: restored.socket,
    stateDirectory: join(home, 'state'),
  })
  try {
    await expect(fetching(other, { incrementalFrom: archive('full') })).rejects.toMatchObject({
      code: 'CLIENT_REFUSED',
      facts: { agentCode: 'JOB_BASE_FOREIGN' },
    })
  } finally {
    await other.stop()
  }
}

describe('what is no chain is not unpacked', () => {
  const target = (): string => join(home, 'target')

  describe.each(['with receipts', 'without receipts'])('%s', (receiptsAre) => {
    beforeEach(() => {
      if (receiptsAre === 'without receipts') moveReceipts('.receipt', '.away')
    })
    afterEach(() => moveReceipts('.away', '.receipt'))

    test.each([
      ['a link is missing', ['full', 'second'], 'second', 'full'],
      ['two links are missing', ['full', 'third'], 'third', 'full'],
      ['a link in the middle is missing', ['full', 'first', 'third'], 'third', 'first'],
      ['the order is wrong', ['full', 'second', 'first', 'third'], 'second', 'full'],
      ['the order is wrong further on', ['full', 'first', 'third', 'second'], 'third', 'first'],
    ] as const)('%s: both numbers are named', async (_, names, wrong, before) => {
      const [file = '', ...increments] = names.map(archive)

      const refused = await refusal(restoreBackup({ file, increments, target: target() }))

      const { from } = lsnOf(wrong)
      const { to } = lsnOf(before)
      expect(refused).toMatchObject({ code: 'CLIENT_CHAIN', exitStatus: 5 })
      expect(refused.message).toBe(
        `${archive(wrong)} begins at LSN ${from}, and ${archive(before)} before it ends at ${to}`,
      )
      expect(leftovers('target')).toEqual([])
    })

    test.each([
      [
        'a link stands twice',
        ['full', 'first', 'first', 'second'],
        /first\.tar stands twice in the chain: LSN \d+ to \d+/,
      ],
      ['the full backup stands twice', ['full', 'full'], /full\.tar stands twice/],
      ['there is no full backup', ['first', 'second'], /first\.tar is an increment since LSN \d+/],
      ['there is an increment alone', ['second'], /second\.tar is an increment since LSN \d+/],
    ] as const)('%s', async (_, names, message) => {
      const [file = '', ...increments] = names.map(archive)

      const refused = await refusal(restoreBackup({ file, increments, target: target() }))

      expect(refused).toMatchObject({ code: 'CLIENT_CHAIN', message: expect.stringMatching(message) })
      expect(leftovers('target')).toEqual([])
    })
  })

  test('an increment that is not what was fetched', async () => {
    copyFileSync(archive('first'), archive('flipped'))
    copyFileSync(`${archive('first')}.receipt`, `${archive('flipped')}.receipt`)
    flipBit(archive('flipped'))

    const restoring = restoreBackup({ file: archive('full'), increments: [archive('flipped')], target: target() })

    await expect(restoring).rejects.toMatchObject({ code: 'CLIENT_RECEIPT' })
    expect(leftovers('target')).toEqual([])
  })

  test('an increment of another server, whose number fits by chance', async () => {
    const text = readFileSync(`${archive('first')}.receipt`, 'utf8')
    copyFileSync(archive('first'), archive('foreign'))
    writeFileSync(`${archive('foreign')}.receipt`, text.replace(/"uuid": "[^"]*"/, '"uuid": "another server"'))

    const restoring = restoreBackup({ file: archive('full'), increments: [archive('foreign')], target: target() })

    await expect(restoring).rejects.toMatchObject({
      code: 'CLIENT_CHAIN',
      message: expect.stringContaining('two servers'),
    })
    expect(leftovers('target')).toEqual([])
  })
})

describe('a restore that ends in the middle', () => {
  test('leaves nothing under the final name when it is killed, and the next one says what is in the way', async () => {
    const { program, reached } = stoppingProgram()
    const options = ['restore', ...LINKS.map(archive), '--target', join(home, 'killed'), '--program', program]
    const child = spawn(process.execPath, [CLIENT_PROGRAM, ...options], { stdio: 'ignore', env: plainEnvironment() })
    watchProcess(child.pid as number, 'backup-client')
    const closed = once(child, 'close')

    await reached
    const during = leftovers('killed')
    child.kill('SIGKILL')
    await closed
    forgetProcess(child.pid as number)

    expect(during).toEqual(['killed.part', 'killed.part-increment'])
    expect(existsSync(join(home, 'killed'))).toBe(false)
    const again = await client(options)
    expect(again.exitCode).toBe(7)
    expect(again.stderr).toContain('killed.part first')
  })

  test.each([
    ['a directory for increments that was left behind', {}, 'CLIENT_TARGET'],
    ['a program that is not there', { program: '/nowhere/mariadb-backup' }, 'ENGINE_NOT_FOUND'],
  ])(
    'is refused before anything is unpacked: %s',
    async (_, options, code) => {
      const target = join(home, 'refused')
      if (code === 'CLIENT_TARGET') mkdirSync(`${target}.part-increment`)
      const stages: string[] = []

      const restoring = restoreBackup({
        file: archive('full'),
        increments: [archive('first')],
        target,
        ...options,
        onProgress: ({ stage }) => stages.push(stage),
      })

      await expect(restoring).rejects.toMatchObject({ code })
      expect(stages).not.toContain('unpacking')
      rmSync(`${target}.part-increment`, { recursive: true, force: true })
      expect(leftovers('refused')).toEqual([])
    },
    60_000,
  )

  test('leaves nothing at all when the backup program fails', async () => {
    const program = join(home, 'failing-program')
    writeFileSync(program, `#!/bin/sh\ncase "$*" in *--incremental-dir*) exit 1 ;; esac\nexec mariadb-backup "$@"\n`)
    chmodSync(program, 0o755)

    const restoring = restoreBackup({
      file: archive('full'),
      increments: [archive('first')],
      target: join(home, 'failed'),
      program,
    })

    await expect(restoring).rejects.toMatchObject({ code: 'ENGINE_PREPARE' })
    expect(leftovers('failed')).toEqual([])
  })

  test('is noticed when the backup program does nothing and says that it has', async () => {
    const program = join(home, 'lazy-program')
    writeFileSync(
      program,
      `#!/bin/sh\ncase "$*" in *--incremental-dir*) echo 'completed OK!' >&2; exit 0 ;; esac\nexec mariadb-backup "$@"\n`,
    )
    chmodSync(program, 0o755)

    const restoring = restoreBackup({
      file: archive('full'),
      increments: [archive('first')],
      target: join(home, 'failed'),
      program,
    })

    await expect(restoring).rejects.toMatchObject({
      code: 'ENGINE_PREPARE',
      message: expect.stringMatching(
        new RegExp(`stand at LSN ${lsnOf('first').to} after .* found it at ${lsnOf('full').to}`),
      ),
    })
    expect(leftovers('failed')).toEqual([])
  })
})

describe('a base', () => {
  const increment = (options: Partial<FetchOptions>) =>
    fetching(agent, { ...options, target: { file: archive('made') }, receiptFile: false })
  afterEach(() => rmSync(archive('made'), { force: true }))

  test('may be named by its number alone, and then nobody vouches for it', async () => {
    const receipt = await increment({ incrementalLsn: receipts[0]?.lsn.to ?? '' })

    expect(receipt).toMatchObject({ backupType: 'incremental', base: { lsn: receipts[0]?.lsn.to } })
    expect(receipt.base).not.toHaveProperty('sid')
  })

  test('may be named by its archive without a receipt, or by its receipt without an archive', async () => {
    copyFileSync(archive('first'), archive('bare'))
    copyFileSync(`${archive('first')}.receipt`, join(home, 'moved.receipt'))

    const bare = await increment({ incrementalFrom: archive('bare') })
    rmSync(archive('made'))
    const moved = await increment({ incrementalFrom: join(home, 'moved.receipt') })

    expect(bare.base).toEqual({ lsn: receipts[1]?.lsn.to, sha256: receipts[1]?.sha256 })
    expect(moved.base).toEqual({ lsn: receipts[1]?.lsn.to, sha256: receipts[1]?.sha256, sid: 'first' })
  })

  test('that lies ahead of the server is refused before anything is made', async () => {
    await expect(increment({ incrementalLsn: '18446744073709551615' })).rejects.toMatchObject({
      code: 'CLIENT_REFUSED',
      facts: { agentCode: 'JOB_BASE_LSN' },
      message: expect.stringMatching(/ends at LSN 18446744073709551615, and this server has come to \d+ only/),
    })
  })

  test('whose session has failed is refused, unless an older one of it is named by its number', async () => {
    await expect(fetching(agent, { sid: 'full', password: 'wrong' })).rejects.toMatchObject({
      code: 'CLIENT_BACKUP_FAILED',
    })

    await expect(increment({ incrementalFrom: archive('full') })).resolves.toMatchObject({
      base: { sid: 'full', sha256: receipts[0]?.sha256 },
    })
  })

  test('that the agent has forgotten is refused in words that say what to do', async () => {
    const forgetful = await startAgent({ port: 0, engine: 'mariadb-backup', socket: server.socket })
    try {
      const refused = await refusal(fetching(forgetful, { incrementalFrom: archive('full') }))

      expect(refused).toMatchObject({ code: 'CLIENT_REFUSED', facts: { agentCode: 'JOB_BASE_UNKNOWN' } })
      expect(refused.message).toMatch(/no backup of the session "full" is remembered here.*incremental-lsn alone/)
    } finally {
      await forgetful.stop()
    }
  })
})

const lsnOf = (name: string) => (receipts[LINKS.indexOf(name as 'full')] as Receipt).lsn

const moveReceipts = (from: string, to: string): void => {
  for (const name of LINKS) {
    if (existsSync(archive(name) + from)) renameSync(archive(name) + from, archive(name) + to)
  }
}

/** In what a file holds: no header says anything about that. */
const flipBit = (path: string): void => {
  const at = largestBody(readFileSync(path))
  const byte = readFileSync(path).subarray(at, at + 1)
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.of(byte.readUInt8(0) ^ 1), 0, 1, at)
  closeSync(file)
}

/** Where the content of the largest file begins: what is changed there is nothing that tar could notice. */
const largestBody = (archive: Buffer): number => {
  let [largest, at] = [0, 0]
  const reader = new TarReader({
    onBody: (start, end) => {
      if (end - start > largest) [largest, at] = [end - start, start]
    },
  })
  for (const event of reader.push(archive)) if (event.type === 'end') break
  return at
}

/** Whatever a restore into `home/NAME` has made. */
const leftovers = (name: string): string[] =>
  readdirSync(home)
    .filter((found) => found === name || found.startsWith(`${name}.`))
    .sort()

/** A backup program that stands still when it is to apply the second increment. */
const stoppingProgram = (): { program: string; reached: Promise<void> } => {
  const program = join(home, 'stopping-program')
  const places = join(home, 'places')
  writeFileSync(
    program,
    `#!/bin/sh
# Prepares as mariadb-backup does, the second increment excepted.
case "$*" in
  *--incremental-dir*)
    if [ -e '${places}-1' ]; then : > '${places}-2'; exec sleep 600; fi
    : > '${places}-1' ;;
esac
exec mariadb-backup "$@"
`,
  )
  chmodSync(program, 0o755)
  const reached = new Promise<void>((resolve) => {
    const watcher = watch(home, () => {
      if (!existsSync(`${places}-2`)) return
      watcher.close()
      resolve()
    })
  })
  return { program, reached }
}

const client = async (
  words: readonly string[],
): Promise<{ exitCode: number | null; stdout: string; stderr: string }> => {
  const { exitCode, stdout, stderr } = await runProgram(process.execPath, [CLIENT_PROGRAM, ...words])
  return { exitCode, stdout: stdout.toString(), stderr }
}

interface Refusal {
  readonly code: string
  readonly message: string
}

const refusal = async (work: Promise<unknown>): Promise<Refusal> => {
  const [settled] = await Promise.allSettled([work])
  if (settled?.status === 'rejected') return settled.reason as Refusal
  throw new Error('expected a refusal')
}
