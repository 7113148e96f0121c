import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { XbstreamReader } from '../../lib/archive/index.ts'
import {
  type EngineOutcome,
  type EngineSettings,
  findEngine,
  prepareBackup,
  type XbstreamRun,
} from '../../lib/engines/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { quoteText } from '../rig/sql-text.ts'
import { ODD_PASSWORDS } from './odd-passwords.ts'
import { drain, hasEnded, isThere, type LogLine, lockHolders, MemoryLog, never, Scratch, until } from './stand-ins.ts'

const scratch = new Scratch()
let server: ThrowawayServer

beforeAll(async () => {
  server = await ThrowawayServer.start({ binaryLog: true, redoLogBytes: 4 * 1024 * 1024 })
  await server.createBackupUser('backup', 'pass "word" #1')
  await server.createBackupUser('powerless', 'powerless-password', [])
  await server.createBackupUser('no_binlog', 'no-binlog-password', ['RELOAD', 'PROCESS'])
  await server.query(`
    CREATE DATABASE shop; USE shop;
    CREATE TABLE t (a INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB);
    INSERT INTO t (b) VALUES (REPEAT('x', 3000000)), (REPEAT('y', 3000000)), (REPEAT('z', 3000000));
    CREATE TABLE m (a INT) ENGINE=MyISAM;
    CREATE TABLE e (a INT) ENGINE=Aria;`)
})

afterAll(async () => {
  await server.discard()
  scratch.remove()
})

interface Order {
  readonly user?: string
  readonly password?: string
  readonly signal?: AbortSignal
  readonly log?: MemoryLog
}

const start = async (order: Order = {}, settings: Partial<EngineSettings> = {}): Promise<XbstreamRun> => {
  const engine = await findEngine(scratch.settings({ socket: server.socket, ...settings }))
  const login = { user: 'backup', password: 'pass "word" #1' }
  const run = await engine.start({ ...login, signal: never(), log: new MemoryLog(), ...order })
  if (run.kind !== 'xbstream') throw new Error('expected a program')
  return run
}

const fail = async (
  order: Order,
  settings: Partial<EngineSettings> = {},
): Promise<{ bytes: number; outcome: EngineOutcome }> => {
  const run = await start(order, settings)
  const bytes = await drain(run.output)
  return { bytes, outcome: await run.settled }
}

/** Runs statements of which the last does not end by itself, until told otherwise. */
const holdUp = async (sql: string): Promise<{ end(): Promise<void> }> => {
  const held = server.query(`${sql};`).catch(() => [])
  const last = quoteText(sql.slice(sql.lastIndexOf(';') + 1).trim())
  const find = `SELECT id FROM information_schema.processlist WHERE info = ${last}`
  let [row] = await server.query(find)
  for (; row === undefined; [row] = await server.query(find));
  const [id] = row
  return {
    end: async () => {
      await server.query(`KILL ${id}`)
      await held
    },
  }
}

const sessionsOf = async (user: string): Promise<string> =>
  server.queryValue(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '${user}'`)

describe('a backup of a running server', () => {
  test('streams whole files, tells where it is, and can be prepared', async () => {
    const log = new MemoryLog()
    const run = await start({ log })
    const target = scratch.directory('unpacked')

    const reader = new XbstreamReader()
    const parts = new Map<string, Buffer[]>()
    const sizes = new Map<string, number | undefined>()
    for await (const chunk of run.output) {
      for (const event of reader.push(chunk)) {
        const pieces = parts.get(event.path) ?? []
        parts.set(event.path, pieces)
        if (!sizes.has(event.path)) sizes.set(event.path, run.sizeOf(event.path))
        if (event.type === 'data') pieces.push(Buffer.from(event.bytes))
      }
    }
    reader.end()
    const outcome = await run.settled

    expect(outcome).toMatchObject({ exitCode: 0, signal: undefined, saidOk: true, failure: undefined })
    const stages = log.lines.filter(({ message }) => message === 'engine stage').map(({ facts }) => facts['stage'])
    expect(stages).toEqual(['START', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT', 'END', 'done'])

    // The biggest table was still being read when its first bytes came: its size was known then.
    const table = Buffer.concat(parts.get('shop/t.ibd') ?? [])
    expect(sizes.get('shop/t.ibd')).toBe(table.length)
    expect(table).toHaveLength(statSync(join(server.dataDirectory, 'shop/t.ibd')).size)

    // MariaDB 11 has names of its own for them.
    const metadata = (name: string) => parts.get(`xtrabackup_${name}`) ?? parts.get(`mariadb_backup_${name}`) ?? []
    const info = String(Buffer.concat(metadata('binlog_info')))
      .trim()
      .split('\t')
    const { binlogFile, binlogPosition, gtid = '' } = outcome.coordinates
    expect([binlogFile, String(binlogPosition), gtid]).toEqual([info[0], info[1], info[2] ?? ''])
    const checkpoints = String(Buffer.concat(metadata('checkpoints')))
    expect(checkpoints).toContain(`to_lsn = ${outcome.lsn.checkpoint}\n`)
    expect(checkpoints).toContain(`last_lsn = ${outcome.lsn.to}\n`)

    for (const [path, pieces] of parts) {
      mkdirSync(dirname(join(target, path)), { recursive: true })
      writeFileSync(join(target, path), Buffer.concat(pieces))
    }
    const lines: string[] = []
    await prepareBackup({
      directory: target,
      engine: 'mariadb-backup',
      signal: never(),
      onLine: (line) => void lines.push(line),
    })
    expect(lines.at(-1)).toMatch(/completed OK!$/)
  })

  test('shows its password nowhere while it runs, and leaves no file', async () => {
    const run = await start()
    const chunks = run.output[Symbol.asyncIterator]()
    await chunks.next()

    const commandLine = readFileSync(`/proc/${run.pid}/cmdline`, 'utf8').split('\0')
    const environment = readFileSync(`/proc/${run.pid}/environ`, 'utf8').split('\0')
    const files = readdirSync(scratch.runtimeDirectory)
    await chunks.return?.()
    await run.settled

    expect(commandLine[0]).toMatch(/\/mariadb-backup$/)
    expect(commandLine[1]).toBe('--defaults-file=/dev/fd/3')
    expect(commandLine.join(' ')).not.toMatch(/word|--password|--user/)
    expect(
      environment
        .filter((line) => line !== '')
        .map((line) => line.split('=')[0])
        .sort(),
    ).toEqual(['LANG', 'LC_ALL', 'PATH', ...(process.env['TZ'] === undefined ? [] : ['TZ'])])
    expect(files).toEqual([])
  })

  test('writes nothing but its output', async () => {
    const run = await start()

    await drain(run.output)
    await run.settled

    expect(readdirSync(scratch.runtimeDirectory)).toEqual([])
  })

  test("takes the login it is given over the one in the operator's own file", async () => {
    const defaultsFile = join(scratch.path, 'operator.cnf')
    const theirs = 'user=nobody\npassword=wrong\n'
    writeFileSync(
      defaultsFile,
      `[client]\nsocket=${server.socket}\n${theirs}[mariadb-backup]\n${theirs}[xtrabackup]\n${theirs}`,
    )

    const { outcome } = await fail({}, { defaultsFile, socket: undefined })

    expect(outcome.failure).toBeUndefined()
  })
})

describe('what a running backup tells', () => {
  test('is how much is to come, within a tenth of what comes', async () => {
    const elsewhere = scratch.directory('elsewhere')
    await server.query(`
      CREATE DATABASE \`Ünder way\`;
      CREATE TABLE shop.far (a INT, b LONGBLOB) DATA DIRECTORY='${elsewhere}';
      INSERT INTO shop.far VALUES (1, REPEAT('f', 9000000));
      CREATE TABLE \`Ünder way\`.\`a#b\` (a INT) PARTITION BY HASH (a) PARTITIONS 3;
      CREATE TABLE shop.archived (a INT, b LONGBLOB) ENGINE=Aria;
      INSERT INTO shop.archived VALUES (1, REPEAT('g', 5000000));
      CREATE TEMPORARY TABLE shop.not_copied (a LONGBLOB) ENGINE=InnoDB;
      INSERT INTO shop.not_copied VALUES (REPEAT('n', 9000000));`)
    const run = await start()
    const chunks = run.output[Symbol.asyncIterator]()
    const reader = new XbstreamReader()
    let copiedBytes = 0
    const names: string[] = []
    const take = (chunk: Buffer): void => {
      for (const event of reader.push(chunk)) {
        if (event.type === 'data' && event.path !== run.redoLogName) copiedBytes += event.bytes.length
        if (event.type === 'end') names.push(event.path)
      }
    }

    take((await chunks.next()).value)
    await until(() => run.totalBytes() !== undefined)
    const totalBytes = run.totalBytes() ?? 0
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) take(next.value)
    expect((await run.settled).failure).toBeUndefined()

    expect(names).toContain(run.redoLogName)
    expect(names).toContain('shop/far.ibd')
    expect(Math.abs(totalBytes / copiedBytes - 1)).toBeLessThan(0.1)
    await server.query('DROP DATABASE `Ünder way`; DROP TABLE shop.far, shop.archived')
  })

  test('is the size of the redo log, also when it is over', async () => {
    const run = await start()
    const chunks = run.output[Symbol.asyncIterator]()
    await chunks.next()

    const meanwhile = run.redoCapacityBytes()
    while ((await chunks.next()).done !== true);
    await run.settled

    expect(meanwhile).toBe(statSync(join(server.dataDirectory, 'ib_logfile0')).size)
    expect(run.redoCapacityBytes()).toBe(meanwhile)
  })

  test('is the size of the redo log though nobody asked while it ran', async () => {
    const run = await start()
    await drain(run.output)
    await run.settled

    expect(run.redoCapacityBytes()).toBe(4 * 1024 * 1024)
  })

  test('is that others wait, when they do, and that they do not, when they do not', async () => {
    await server.query(
      `CREATE TABLE shop.idle (a LONGBLOB) ENGINE=MyISAM; INSERT INTO shop.idle VALUES (REPEAT('i', 9000000))`,
    )
    const insert = 'SET STATEMENT lock_wait_timeout=1 FOR INSERT INTO shop.idle VALUES (1)'
    const run = await start()
    const chunks = run.output[Symbol.asyncIterator]()

    await chunks.next()
    const before = run.progress()
    await server.query(insert)
    while (!run.progress().locked && (await chunks.next()).done !== true);
    // It stands in the middle of the table and waits for its reader; the server waits with it.
    const during = run.progress()
    await expect(server.query(insert)).rejects.toThrow(/Lock wait timeout/)
    while ((await chunks.next()).done !== true);
    const { failure } = await run.settled
    await server.query(insert)

    expect(failure).toBeUndefined()
    expect(before).toMatchObject({ locked: false })
    expect(during).toMatchObject({ stage: 'FLUSH', locked: true, waitingForLock: false })
    expect(during.words).toBeGreaterThan(before.words)
    expect(run.progress()).toMatchObject({ stage: 'done', locked: false, waitingForLock: false })
    await server.query('DROP TABLE shop.idle')
  })

  test('is that it waits for somebody else, and what it does then', async () => {
    const inTheWay = server.query('LOCK TABLES shop.m WRITE; DO SLEEP(600)').catch((error: unknown) => String(error))
    const sleeper = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO = 'DO SLEEP(600)'"
    await until(async () => (await server.query(sleeper)).length === 1)
    const run = await start()
    const reading = drain(run.output)

    await until(() => run.progress().waitingForLock)
    const waiting = run.progress()
    await server.query(`KILL ${await server.queryValue(sleeper)}`)
    await until(() => !run.progress().waitingForLock)
    const afterwards = run.progress()
    await reading

    expect((await run.settled).failure).toBeUndefined()
    expect(waiting).toMatchObject({ stage: 'START', locked: false, waitingForLock: true })
    expect(afterwards.words).toBeGreaterThan(waiting.words)
    expect(await inTheWay).toMatch(/Lost connection|killed/)
  })
})

describe('one backup of a server at a time', () => {
  test('is kept between agents that share nothing but the data directory, until the first is gone', async () => {
    const datadir = server.dataDirectory
    const [ours, theirs] = [scratch.directory('our-locks'), scratch.directory('their-locks')]
    const first = await start({}, { datadir, lockDirectory: ours })
    const chunks = first.output[Symbol.asyncIterator]()
    await chunks.next()

    const second = await fail({}, { datadir, lockDirectory: theirs })
    const holders = lockHolders(datadir)
    const program = readlinkSync(`/proc/${first.pid}/exe`)
    process.kill(first.pid, 'SIGKILL')
    await until(() => hasEnded(first.pid))
    const third = await fail({}, { datadir, lockDirectory: theirs })
    await chunks.return?.()
    await first.settled

    expect(second).toMatchObject({
      bytes: 0,
      outcome: { failure: { code: 'JOB_BUSY', facts: { lock: datadir, holder: first.pid } } },
    })
    expect(holders).toEqual([first.pid])
    expect(program).toMatch(/mariadb-backup$/)
    expect(third.outcome.failure).toBeUndefined()
    expect([readdirSync(ours), readdirSync(theirs)]).toEqual([[], []])
    expect(readdirSync(datadir).filter((name) => name.endsWith('.lock'))).toEqual([])
  })

  test('does not keep a directory engine from seeing a running server, nor make it see one', async () => {
    const engine = await findEngine(scratch.settings({ engine: 'directory', directory: server.dataDirectory }))

    await expect(engine.start({ signal: never(), log: new MemoryLog() })).rejects.toMatchObject({
      code: 'ENGINE_DIRECTORY',
      message: expect.stringMatching(/a server runs on .*\(pid \d+\) holds a lock/),
      facts: { pid: server.pid },
    })
  })
})

describe('a login', () => {
  const accounts = ODD_PASSWORDS.map((password, index) => ({ user: `odd_${index}`, password }))

  beforeAll(async () => {
    await server.query(
      accounts
        .map(
          ({ user, password }) =>
            `CREATE USER ${user}@localhost IDENTIFIED BY ${quoteText(password)}; GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO ${user}@localhost;`,
        )
        .join('\n'),
    )
  })

  test.each(accounts)('works with the password $password', async ({ user, password }) => {
    const abort = new AbortController()
    const letIn = (line: LogLine): boolean => String(line.facts['line']).includes('Using server version')
    const log = new MemoryLog((line) => {
      if (letIn(line)) abort.abort(new BackupError('JOB_CANCELLED', 'enough'))
    })

    const { outcome } = await fail({ user, password, signal: abort.signal, log })

    expect(outcome.failure).toMatchObject({ code: 'JOB_CANCELLED' })
    expect(log.lines.some(letIn)).toBe(true)
  })

  test.each([
    ['a wrong password', { password: 'wrong-password' }, 'ENGINE_LOGIN', /Access denied for user 'backup'@'localhost'/],
    ['an unknown user', { user: 'nobody' }, 'ENGINE_LOGIN', /Access denied for user 'nobody'@'localhost'/],
    [
      'a user without privileges',
      { user: 'powerless', password: 'powerless-password' },
      'ENGINE_PRIVILEGE',
      /`powerless`@`localhost` lacks RELOAD, PROCESS/,
    ],
  ])('with %s fails without a single byte', async (_, login, code, message) => {
    const log = new MemoryLog()

    const { bytes, outcome } = await fail({ ...login, log })

    expect(bytes).toBe(0)
    expect(outcome).toMatchObject({
      exitCode: 1,
      saidOk: false,
      failure: { code, message: expect.stringMatching(message) },
    })
    const told = JSON.stringify([log.lines, outcome, outcome.failure?.facts, outcome.failure?.hint])
    expect(told).not.toMatch(/[0-9A-F]{40}|-password"/)
  })

  test('without the privileges says the GRANT, and with it the backup works', async () => {
    const { outcome } = await fail({ user: 'powerless', password: 'powerless-password' })
    const grant = outcome.failure?.hint?.replace(/^.*: (?=GRANT)/, '') ?? ''

    expect(outcome.lastLines.join('\n')).toContain('IDENTIFIED BY [redacted]')
    await server.query(`${grant}; GRANT BINLOG MONITOR ON *.* TO powerless@localhost`)

    expect((await fail({ user: 'powerless', password: 'powerless-password' })).outcome.failure).toBeUndefined()
  })

  test('without BINLOG MONITOR fails at the end of the stream, and says the GRANT', async () => {
    const { bytes, outcome } = await fail({ user: 'no_binlog', password: 'no-binlog-password' })

    expect(bytes).toBeGreaterThan(1_000_000)
    expect(outcome.failure).toMatchObject({
      code: 'ENGINE_PRIVILEGE',
      hint: expect.stringMatching(/GRANT BINLOG MONITOR ON \*\.\* TO 'no_binlog'@'localhost'$/),
    })
  })

  test('at a socket where no server is says what to look at', async () => {
    const { bytes, outcome } = await fail({}, { socket: join(scratch.path, 'no.sock') })

    expect(bytes).toBe(0)
    expect(outcome.failure).toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringMatching(/could not reach the server/),
      hint: expect.stringMatching(/--socket/),
    })
  })
})

describe('a cancel', () => {
  const line = (words: string) => (log: LogLine) => String(log.facts['line']).includes(words)
  const stage = (name: string) => (log: LogLine) => log.facts['stage'] === name

  test.each([
    ['as soon as it is started', (log: LogLine) => log.message === 'engine started'],
    ['when it connects', line('Connecting to MariaDB server')],
    ['in the stage START', stage('START')],
    ['in the middle of a table', line('Streaming ./shop/t.ibd')],
    ['in the stage FLUSH', stage('FLUSH')],
    ['in the stage BLOCK_DDL', stage('BLOCK_DDL')],
    ['in the stage BLOCK_COMMIT', stage('BLOCK_COMMIT')],
    ['in the stage END', stage('END')],
  ])('%s leaves no process and no session', async (_, moment) => {
    const abort = new AbortController()
    const reason = new BackupError('JOB_CLIENT_GONE', 'the client went away')
    const log = new MemoryLog((seen) => moment(seen) && !abort.signal.aborted && abort.abort(reason))

    const run = await start({ signal: abort.signal, log }, { datadir: server.dataDirectory })
    await drain(run.output)
    const outcome = await run.settled

    expect(lockHolders(server.dataDirectory)).toEqual([])
    expect(abort.signal.aborted).toBe(true)
    // Its last words come at once: the end may be reached before the signal is.
    if (outcome.failure !== undefined) expect(outcome.failure).toBe(reason)
    expect(isThere(run.pid)).toBe(false)
    await until(async () => (await sessionsOf('backup')) === '0')
    await server.query('INSERT INTO shop.m VALUES (1)') // nobody holds a lock any more
  })

  test('with a reader that stands still leaves no process and no session', async () => {
    const abort = new AbortController()
    const run = await start({ signal: abort.signal })
    await run.output[Symbol.asyncIterator]().next() // and no more: the program sleeps on a full pipe

    abort.abort(new BackupError('JOB_CANCELLED', 'enough'))

    // It may see its closed pipe before the signal; what counts is that it is gone and has not succeeded.
    expect(await run.settled).toMatchObject({ saidOk: false, failure: { code: 'JOB_CANCELLED' } })
    await until(async () => (await sessionsOf('backup')) === '0')
  })
})

describe('trouble on the way', () => {
  test('a backup that finds another one of ours running does not even ask the server', async () => {
    const first = await start()
    const chunks = first.output[Symbol.asyncIterator]()
    await chunks.next() // it runs now, and stands still

    const { outcome } = await fail({})
    await chunks.return?.()
    await first.settled

    expect(outcome.failure).toMatchObject({ code: 'JOB_BUSY' })
  })

  test("a backup that finds somebody else's running says that it waits for locks, and goes on when they are free", async () => {
    const held = await holdUp('BACKUP STAGE START; DO SLEEP(600)')

    const run = await start()
    const drained = drain(run.output)
    await until(() => run.progress().waitingForLock)
    await held.end()

    expect(await drained).toBeGreaterThan(9_000_000)
    expect((await run.settled).failure).toBeUndefined()
  })

  test('a query that never ends keeps no backup waiting: it holds nothing that a backup needs', async () => {
    const report = await holdUp('SELECT COUNT(*), SLEEP(600) FROM shop.t')
    const reader = await holdUp('LOCK TABLES shop.m READ; DO SLEEP(600)')
    const log = new MemoryLog()

    const { outcome } = await fail({ log })
    await report.end()
    await reader.end()

    expect(outcome.failure).toBeUndefined()
    expect(
      log.lines.filter(({ message, facts }) => /Waiting for query/.test(`${message} ${JSON.stringify(facts)}`)),
    ).toEqual([])
  })

  test('a reader too slow for the redo log ends with the reason, and with what helps', async () => {
    const small = await ThrowawayServer.start({ redoLogBytes: 4 * 1024 * 1024 })
    try {
      await small.createBackupUser('backup', 'pass "word" #1')
      await small.query(
        `CREATE DATABASE shop; CREATE TABLE shop.t (b LONGBLOB); INSERT INTO shop.t VALUES (''), (''), ('')`,
      )
      const backUpSlowly = async (): Promise<BackupError | undefined> => {
        const run = await start({}, { socket: small.socket })
        const chunks = run.output[Symbol.asyncIterator]()
        await chunks.next()
        for (const letter of 'abcdef') await small.query(`UPDATE shop.t SET b = REPEAT('${letter}', 3000000)`)
        while ((await chunks.next()).done !== true);
        return (await run.settled).failure
      }

      const failure = await backUpSlowly()
      const { copiedFrom, copiedTo, wanted, neededBytes } = failure?.facts ?? {}
      const [sql = '', newBytes] = /SET GLOBAL innodb_log_file_size=(\d+)/.exec(failure?.hint ?? '') ?? []

      expect(failure).toMatchObject({ code: 'ENGINE_REDO_OVERRUN', facts: { redoCapacityBytes: 4 * 1024 * 1024 } })
      expect(failure?.message).toContain(`copy log from ${copiedFrom} to ${copiedTo}, not ${wanted}`)
      expect(neededBytes).toBe(Number(wanted) - Number(copiedFrom))
      expect(neededBytes).toBeGreaterThan(50_000_000)
      expect(Number(newBytes)).toBeGreaterThan(Number(neededBytes))

      await small.query(sql)
      expect(await small.queryValue('SELECT @@innodb_log_file_size')).toBe(newBytes)
      expect(await backUpSlowly()).toBeUndefined()
    } finally {
      await small.discard()
    }
  })

  test('a connection killed by the administrator is a failure', async () => {
    const run = await start()
    const chunks = run.output[Symbol.asyncIterator]()
    await chunks.next()
    await server.query('KILL USER backup@localhost')

    while ((await chunks.next()).done !== true);

    expect(await run.settled).toMatchObject({ exitCode: 1, saidOk: false, failure: { code: 'ENGINE_FAILED' } })
  })

  test('a server killed in the middle is a failure', async () => {
    const run = await start()
    const chunks = run.output[Symbol.asyncIterator]()
    await chunks.next()
    await server.kill9()

    while ((await chunks.next()).done !== true);

    expect(await run.settled).toMatchObject({ saidOk: false, failure: { code: 'ENGINE_FAILED' } })
    await server.restart()
    expect(existsSync(server.socket)).toBe(true)
  })
})
