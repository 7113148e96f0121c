/**
 * A chain by XtraBackup, as far as its stand-ins go: what it is told, and in which order.
 *
 * The programs are stand-ins (Debian has no XtraBackup); agent, client and archives are real.
 */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { fetchBackup, type Receipt, restoreBackup } from '../../lib/client/index.ts'
import { fixture } from '../engines/stand-ins.ts'

let home: string
let agent: RunningAgent

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'xtrabackup-'))
  symlinkSync(fixture('xtrabackup-8-stand-in'), join(home, 'xtrabackup'))
  const before = process.env['PATH']
  process.env['PATH'] = [home, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter) // read at the start
  try {
    agent = await startAgent({ port: 0, engine: 'xtrabackup', socket: join(home, 'no-server.sock') })
  } finally {
    process.env['PATH'] = before
  }
})
afterAll(async () => {
  await agent?.stop()
  rmSync(home, { recursive: true, force: true })
})

const fetching = (name: string, incrementalFrom?: string): Promise<Receipt> =>
  fetchBackup({
    host: agent.host,
    port: agent.port,
    user: 'backup',
    password: 's3cUre',
    sid: name,
    target: { file: join(home, `${name}.tar`) },
    incrementalFrom,
  }).receipt

test('a chain is made, checked and applied, and only its last link rolls back what was not committed', async () => {
  const archive = (name: string): string => join(home, `${name}.tar`)
  await fetching('full')
  const first = await fetching('first', archive('full'))
  await fetching('second', archive('first'))
  const said = join(home, 'said')
  const program = join(home, 'prepares')
  // All increments of the stand-in end at one number, so that the base stands where it has to.
  writeFileSync(program, `#!/bin/sh\necho "$*" >> '${said}'\necho 'completed OK!' >&2\n`)
  chmodSync(program, 0o755)

  const restored = await restoreBackup({
    file: archive('full'),
    increments: [archive('first'), archive('second')],
    target: join(home, 'restored'),
    program,
  })

  expect(first).toMatchObject({
    engine: 'xtrabackup',
    backupType: 'incremental',
    base: { sid: 'full', lsn: '18446744073709551000' },
  })
  expect(restored).toMatchObject({ increments: 2, engine: 'xtrabackup', lsn: { to: '18446744073709551000' } })
  const part = join(home, 'restored.part')
  const options = [`--defaults-file=${part}/backup-my.cnf`, '--prepare']
  const target = `--target-dir=${part}`
  const increment = `--incremental-dir=${part}-increment`
  expect(readFileSync(said, 'utf8').trim().split('\n')).toEqual([
    [...options, '--apply-log-only', target].join(' '),
    [...options, '--apply-log-only', target, increment].join(' '),
    [...options, target, increment].join(' '),
  ])
})

test('an increment upon a number ahead of the server is none, though the program says that all is well', async () => {
  const fetch = fetchBackup({
    host: agent.host,
    port: agent.port,
    user: 'backup',
    password: 's3cUre',
    target: { file: join(home, 'ahead.tar') },
    incrementalLsn: '18446744073709551001',
  })

  await expect(fetch.receipt).rejects.toMatchObject({
    code: 'CLIENT_BACKUP_FAILED',
    facts: { agentCode: 'JOB_BASE_LSN' },
    message: expect.stringMatching(
      /ends at LSN 18446744073709551001, and this server has come to 18446744073709551000 only/,
    ),
  })
  expect(existsSync(join(home, 'ahead.tar'))).toBe(false)
})
