/** A full backup and three incrementals, as a deployed client fetches them, and what can be made of them with MariaDB's own tools. */

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { AgentProcess } from '../rig/agent-process.ts'
import { askAs076, unpack } from '../rig/deployed-client.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { mustRun } from '../rig/run-program.ts'
import { Xinetd } from '../rig/xinetd.ts'

const LOGIN = { user: 'backup', password: '#it"s a p' }
const TABLES = ['shop.orders', 'shop.notes']

interface Door {
  readonly port: number
  stop(): Promise<unknown>
}

/** Each connection is a process of its own there, which remembers the ones before by its state directory. */
const behindXinetd = async (options: readonly string[], scratch: string): Promise<Door> => {
  const remembering = ['--state-dir', join(scratch, 'state'), '--log', 'none']
  const xinetd = await Xinetd.start([{ name: 'backup', args: ['inetd', ...options, ...remembering] }])
  return { port: xinetd.port('backup'), stop: () => xinetd.stop() }
}

const DOORS: readonly [name: string, open: (options: readonly string[], scratch: string) => Promise<Door>][] = [
  ['an agent that listens', async (options) => AgentProcess.start(options)],
  ['xinetd', behindXinetd],
]

describe.each(DOORS)('behind %s', (_, open) => {
  let scratch: string
  let server: ThrowawayServer
  let door: Door
  /** Prepared, from the full backup. */
  let prepared: string
  /** Where the full backup stands, as its own file says. */
  let coordinates: { readonly file: string; readonly position: string }
  /** Of all three incrementals, in the order they came. */
  const logs: string[] = []

  interface Moment {
    readonly file: string
    readonly position: string
    readonly rows: readonly string[]
  }
  let inTheMiddle: Moment
  let atTheEnd: Moment

  let written = 0
  const write = async (rows: number): Promise<void> => {
    for (let n = 0; n < rows; n += 1) {
      written += 1
      await server.query(
        `INSERT INTO shop.orders VALUES (${written}, REPEAT('o', 100 + ${written} % 400));
         INSERT INTO shop.notes (text) VALUES (CONCAT('note ', UUID()));
         UPDATE shop.orders SET text = 'changed' WHERE id = ${written} DIV 2;
         DELETE FROM shop.orders WHERE id = ${written} DIV 3;`,
      )
    }
  }

  const rowsOf = async (from: ThrowawayServer): Promise<string[]> => {
    const all = []
    for (const table of TABLES) all.push(...(await from.query(`SELECT * FROM ${table} ORDER BY id`)))
    return all.map((row) => row.join('|'))
  }

  const moment = async (): Promise<Moment> => {
    const [file = '', position = ''] = (await server.query('SHOW MASTER STATUS'))[0] ?? []
    return { file, position, rows: await rowsOf(server) }
  }

  /** One run: the client closes the log, asks from the first one it does not have, and keeps what it gets. */
  const incremental = async (number: number): Promise<void> => {
    await server.query('FLUSH BINARY LOGS')
    const next = logs.length === 0 ? coordinates.file : successor(logs.at(-1) as string)
    const directory = join(scratch, `incremental-${number}`)
    const { block, archive, ended } = await askAs076(door.port, {
      ...LOGIN,
      'backup-level': '1',
      binlog: next,
      sid: `/srv/backups/Nightly/${number}`,
    })
    expect([block.get('status'), ended]).toEqual(['SENDING', 'fin'])
    for (const name of unpack(archive, directory)) logs.push(join(directory, name))
  }

  const successor = (path: string): string =>
    path.replace(/^.*\//, '').replace(/\d+$/, (digits) => String(Number(digits) + 1).padStart(digits.length, '0'))

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'point-in-time-'))
    server = await ThrowawayServer.start({ binaryLog: true, options: ['--binlog-format=ROW'] })
    await server.createBackupUser(LOGIN.user, LOGIN.password)
    await server.query(
      `CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, text TEXT) ENGINE=InnoDB;
       CREATE TABLE shop.notes (id INT PRIMARY KEY AUTO_INCREMENT, text TEXT) ENGINE=InnoDB;`,
    )
    await write(20)
    door = await open(['--engine', 'mariadb-backup', '--socket', server.socket, '--spool-dir', scratch], scratch)

    let isFetched = false
    const writing = (async (): Promise<void> => {
      while (!isFetched) await write(1)
    })()
    const full = await askAs076(door.port, { ...LOGIN, sid: '/srv/backups/Nightly/0' })
    isFetched = true
    await writing
    prepared = join(scratch, 'full')
    unpack(full.archive, prepared)
    await mustRun('mariadb-backup', ['--no-defaults', '--prepare', `--target-dir=${prepared}`])
    const [file = '', position = ''] = readFileSync(join(prepared, 'xtrabackup_binlog_info'), 'utf8').split('\t')
    coordinates = { file, position }

    await write(15)
    await incremental(1)
    await write(15)
    await server.query('FLUSH BINARY LOGS') // two logs in the next one
    await write(5)
    await incremental(2)
    await write(10)
    inTheMiddle = await moment()
    await write(10)
    atTheEnd = await moment()
    await incremental(3)
    await write(5) // after the last one: lost, as it must be
  })
  afterAll(async () => {
    await door?.stop()
    await server?.discard()
    rmSync(scratch, { recursive: true })
  })

  /** The restored full backup, with the logs replayed from its coordinates on. */
  const restoredTo = async (stop: readonly string[]): Promise<string[]> => {
    const data = join(mkdtempSync(join(scratch, 'restored-')), 'data')
    cpSync(prepared, data, { recursive: true })
    const replay = await mustRun('mariadb-binlog', [
      '--no-defaults',
      `--start-position=${coordinates.position}`,
      ...stop,
      ...logs,
    ])
    const restored = await ThrowawayServer.startOn(data)
    try {
      await mustRun('mariadb', restored.clientOptions(), { input: replay.stdout })
      return await rowsOf(restored)
    } finally {
      await restored.discard()
    }
  }

  test('the incrementals follow each other without a gap, from the log of the full backup on', () => {
    const numbers = logs.map((path) => Number(path.replace(/^.*\./, '')))

    expect(logs[0]).toContain(coordinates.file)
    expect(logs.length).toBeGreaterThanOrEqual(4)
    expect(numbers).toEqual(numbers.map((_, at) => (numbers[0] as number) + at))
  })

  test('all of them replayed give the rows of the source at the moment of the last flush', async () => {
    expect(await restoredTo([])).toEqual(atTheEnd.rows)
  })

  test('replayed up to a position they give the rows of the source at exactly that position', async () => {
    expect(logs.at(-1)).toContain(inTheMiddle.file) // a stop position counts in the last log
    const rows = await restoredTo([`--stop-position=${inTheMiddle.position}`])

    expect(rows).toEqual(inTheMiddle.rows)
    expect(rows).not.toEqual(atTheEnd.rows)
  })
})
