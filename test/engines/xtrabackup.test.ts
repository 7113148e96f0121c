import { afterAll, describe, expect, test } from '@jest/globals'

import { XbstreamReader } from '../../lib/archive/index.ts'
import { findEngine, type XbstreamRun } from '../../lib/engines/index.ts'
import { MemoryLog, never, readAll, Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

const start = async (user: string, log = new MemoryLog(), incrementalLsn?: string): Promise<XbstreamRun> => {
  const searchPath = scratch.searchPath({ xtrabackup: 'xtrabackup-8-stand-in' })
  const engine = await findEngine(
    scratch.settings({ engine: 'xtrabackup', searchPath, socket: '/run/mysqld/mysqld.sock' }),
  )
  const run = await engine.start({ user, password: 'secret', incrementalLsn, signal: never(), log })
  if (run.kind !== 'xbstream') throw new Error('expected a program')
  return run
}

describe('xtrabackup 8, as its stand-in has it', () => {
  test('streams a whole xbstream and tells stages, coordinates and numbers', async () => {
    const log = new MemoryLog()
    const run = await start('backup', log)

    const reader = new XbstreamReader()
    const ended = [...reader.push(await readAll(run.output))].flatMap((event) =>
      event.type === 'end' ? [event.path] : [],
    )
    reader.end()
    const outcome = await run.settled

    expect(ended).toEqual([
      'ibdata1',
      'db/t.ibd',
      'mysql.ibd',
      'xtrabackup_binlog_info',
      'xtrabackup_logfile',
      'xtrabackup_checkpoints',
      'backup-my.cnf',
      'xtrabackup_info',
    ])
    expect(outcome).toMatchObject({
      exitCode: 0,
      signal: undefined,
      saidOk: true,
      failure: undefined,
      coordinates: {
        binlogFile: 'binlog.000007',
        binlogPosition: 157,
        gtid: '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-7',
      },
      lsn: { checkpoint: '18446744073709551000', from: '18446744073709550000', to: '18446744073709551000' },
    })
    expect(run.progress()).toEqual({
      stage: 'done',
      files: 8,
      lastFile: 'xtrabackup_info',
      locked: false,
      waitingForLock: false,
      words: 31,
    })
    expect(run.redoLogName).toBe('xtrabackup_logfile')
    const stages = log.lines.filter(({ message }) => message === 'engine stage').map(({ facts }) => facts['stage'])
    expect(stages).toEqual(['LOCK_DDL', 'NON_INNODB', 'LOG_STATUS', 'END', 'done'])
  })

  test('is given its options in the form it knows', async () => {
    const log = new MemoryLog()
    const run = await start('backup', log)
    await readAll(run.output)
    await run.settled

    expect(log.lines[0]?.facts['args']).toEqual([
      '--backup',
      '--stream=xbstream',
      '--parallel=1',
      `--target-dir=${scratch.runtimeDirectory}`,
      '--socket=/run/mysqld/mysqld.sock',
    ])
  })

  test('copies what has changed since a number, and tells where it ends as ever', async () => {
    const log = new MemoryLog()
    const run = await start('backup', log, '18446744073709550001')

    const reader = new XbstreamReader()
    const texts = new Map<string, string>()
    for (const event of reader.push(await readAll(run.output))) {
      if (event.type === 'data') texts.set(event.path, `${texts.get(event.path) ?? ''}${event.bytes}`)
    }
    reader.end()

    expect(log.lines[0]?.facts['args']).toContain('--incremental-lsn=18446744073709550001')
    expect([...texts.keys()]).toEqual(expect.arrayContaining(['ibdata1.meta', 'ibdata1.delta', 'db/t.ibd.delta']))
    expect(texts.get('xtrabackup_checkpoints')).toContain(
      'backup_type = incremental\nfrom_lsn = 18446744073709550001\n',
    )
    expect((await run.settled).lsn.checkpoint).toBe('18446744073709551000')
  })

  test.each([
    ['refused', 'ENGINE_LOGIN', /Access denied for user 'refused'/, /check user and password/],
    [
      'unprivileged',
      'ENGINE_PRIVILEGE',
      /lacks BACKUP_ADMIN, RELOAD/,
      /GRANT BACKUP_ADMIN, RELOAD ON \*\.\* TO 'unprivileged'@'localhost'/,
    ],
  ])('fails without a byte for a user that is %s', async (user, code, message, hint) => {
    const run = await start(user)

    const bytes = await readAll(run.output)

    expect(bytes).toHaveLength(0)
    expect((await run.settled).failure).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    })
  })
})
