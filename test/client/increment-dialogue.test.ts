/**
 * What is said and checked when an increment is fetched, by an agent that plays it right and wrong.
 */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { fetchBackup, type FetchOptions, type Receipt } from '../../lib/client/index.ts'
import { RECEIPT_VERSION, writeReceiptText } from '../../lib/client/receipt.ts'
import type { CompleteBlock } from '../../lib/protocol/index.ts'
import { archive, mark, member } from '../archive/tar-forge.ts'
import { accepted, framed, ScriptedAgent, type Script, SENDING, sha256, TOO_NEW } from './scripted-agent.ts'

let directory: string
let agent: ScriptedAgent | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'increment-'))
})
afterEach(async () => {
  await agent?.close()
  agent = undefined
  rmSync(directory, { recursive: true })
})

/** A whole backup by mariadb-backup, as far as an archive tells. */
const backupOf = (backupType: string, from: string, to: string): Buffer =>
  archive(
    mark({ engine: 'mariadb-backup', engineVersion: '10.11.19' }),
    member({ name: 'ib_logfile0' }, 'redo'),
    member({ name: 'backup-my.cnf' }, '[mysqld]\n'),
    member({ name: 'xtrabackup_info' }, 'tool_name = mariadb-backup\n'),
    member(
      { name: 'xtrabackup_checkpoints' },
      `backup_type = ${backupType}\nfrom_lsn = ${from}\nto_lsn = ${to}\nlast_lsn = ${to}\n`,
    ),
  )

const FULL = backupOf('full-backuped', '0', '1000')
const INCREMENT = backupOf('incremental', '1000', '2000')

const BASE: Receipt = {
  receipt: RECEIPT_VERSION,
  status: 'COMPLETE',
  proof: 'agent-verdict',
  sid: 'sunday = 1',
  agent: 'kv-backup-agent/0.1.0',
  protocol: '0.77.0',
  format: 'tar',
  encoding: 'framed',
  bytes: FULL.length,
  sha256: sha256(FULL),
  entries: 4,
  files: 4,
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
  coordinates: {},
  lsn: { from: '0', to: '1000', last: '1000' },
  backupType: 'full-backuped',
  server: { uuid: 'server-1', data: 'ibdata1-7-1' },
  paddedFiles: 0,
  paddedBytes: 0,
  finishedAt: '2024-03-10T02:00:00.000Z',
  seconds: 1,
}

/** The base as two files; `changes` are to its receipt. */
const baseFile = (changes: Partial<Receipt> | 'no receipt' = {}): string => {
  const path = join(directory, 'sunday.tar')
  writeFileSync(path, FULL)
  if (changes !== 'no receipt') writeFileSync(`${path}.receipt`, writeReceiptText({ ...BASE, ...changes }))
  return path
}

let asked = ''
const play = async (bytes: Buffer, verdict: Partial<CompleteBlock> = {}): Promise<void> => {
  const script: Script = async (caller) => {
    asked = await caller.request()
    caller.say(accepted(), SENDING, framed(bytes, { entries: 4, ...verdict }))
    await caller.lastWords()
    caller.socket.end()
  }
  agent = await ScriptedAgent.start(script)
}

const fetching = (options: Partial<FetchOptions>): Promise<Receipt> =>
  fetchBackup({
    host: '127.0.0.1',
    port: agent?.port ?? 0,
    target: { file: join(directory, 'monday.tar') },
    ...options,
  }).receipt

const SAID: Partial<CompleteBlock> = {
  increment: { fromLsn: '1000', toLsn: '2000', baseSid: 'sunday = 1', baseSha256: sha256(FULL) },
  server: { uuid: 'server-1', data: 'ibdata1-7-1' },
}

describe('an increment', () => {
  test('is asked for by session and number, and its receipt keeps what it stands on', async () => {
    await play(INCREMENT, SAID)

    const receipt = await fetching({ incrementalFrom: baseFile() })

    expect(asked).toContain('\nbackup-level=1\nbase-sid=sunday = 1\nincremental-lsn=1000\n')
    expect(receipt).toMatchObject({
      backupType: 'incremental',
      lsn: { from: '1000', to: '2000' },
      base: { sid: 'sunday = 1', sha256: sha256(FULL), lsn: '1000' },
      server: { uuid: 'server-1', data: 'ibdata1-7-1' },
    })
  })

  test.each([
    ['a receipt that holds no verdict', { proof: 'archive' } as const],
    ['no receipt', 'no receipt' as const],
  ])('upon a base with %s is asked for by its number alone: the agent knows nothing of it', async (_, changes) => {
    await play(INCREMENT, { ...SAID, increment: { fromLsn: '1000', toLsn: '2000' } })

    const receipt = await fetching({ incrementalFrom: baseFile(changes) })

    expect(asked).toContain('\nbackup-level=1\nincremental-lsn=1000\n')
    expect(asked).not.toContain('base-sid')
    expect(receipt.base).toEqual({ lsn: '1000', sha256: sha256(FULL) })
  })

  test('upon a number is asked for by that', async () => {
    await play(INCREMENT, SAID)

    await fetching({ incrementalLsn: '1000' })

    expect(asked).toContain('\nbackup-level=1\nincremental-lsn=1000\n')
  })

  test.each([
    ['a full backup', FULL, {}, /an increment since LSN 1000, found a backup "full-backuped"/],
    ['one since another number', backupOf('incremental', '999', '2000'), {}, /since LSN 1000, found one since LSN 999/],
    ['one that the agent calls a full one', INCREMENT, { increment: undefined }, /the agent calls it a full one/],
    [
      'one that ends elsewhere than the agent says',
      INCREMENT,
      { increment: { fromLsn: '1000', toLsn: '2001' } },
      /to 2000, as it says itself, found the agent calls it 1000 to 2001/,
    ],
    [
      'one upon another archive',
      INCREMENT,
      { increment: { fromLsn: '1000', toLsn: '2000', baseSha256: 'b'.repeat(64) } },
      /found one upon b{64}/,
    ],
    ['one of another server', INCREMENT, { server: { uuid: 'server-2' } }, /another: server server-1 and server-2/],
    ['one of a data directory that was made anew', INCREMENT, { server: { data: 'x' } }, /ibdata1-7-1 and x/],
  ])('is not kept when it is %s', async (_, bytes, verdict, message) => {
    await play(bytes, { ...SAID, ...verdict } as Partial<CompleteBlock>)

    await expect(fetching({ incrementalFrom: baseFile() })).rejects.toMatchObject({
      code: 'CLIENT_MISMATCH',
      message: expect.stringMatching(message),
    })
    expect(readdirSync(directory).sort()).toEqual(['sunday.tar', 'sunday.tar.receipt'])
  })

  test('is not taken for a full backup', async () => {
    await play(INCREMENT, SAID)

    await expect(fetching({})).rejects.toMatchObject({
      code: 'CLIENT_MISMATCH',
      message: 'expected a full backup, found an increment since LSN 1000',
    })
  })

  test('is not asked of an agent that is older', async () => {
    agent = await ScriptedAgent.start(async (caller) => {
      await caller.request()
      caller.say(TOO_NEW)
      caller.socket.end()
    })

    await expect(fetching({ incrementalFrom: baseFile() })).rejects.toMatchObject({
      code: 'CLIENT_REFUSED',
      message: expect.stringContaining('makes no incremental backup of pages'),
    })
    expect(agent.connections).toBe(1)
  })

  test.each([
    ['two bases', { incrementalFrom: 'a.tar', incrementalLsn: '7' }, 'CLI_USAGE', /one base, and two were named/],
    ['protocol 0.76', { incrementalLsn: '7', protocol: '0.76' }, 'CLI_USAGE', /0\.76 has no incremental backup/],
    ['a number that is none', { incrementalLsn: '0x17' }, 'CLI_USAGE', /in plain digits, found "0x17"/],
    ['a base that is not there', { incrementalFrom: '/nowhere/a.tar' }, 'CLI_FILE', /cannot read \/nowhere\/a\.tar/],
  ] as const)('is asked of nobody with %s', async (_, options, code, message) => {
    await expect(fetching(options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test.each([
    ['that is not what its receipt says', { bytes: FULL.length + 1 }, 'CLIENT_RECEIPT', /as its receipt says/],
    ['that does not say where it ends', { engine: 'directory', lsn: {} }, 'CLIENT_CHAIN', /say at which LSN it ends/],
  ] as const)('is asked of nobody upon a base %s', async (_, changes, code, message) => {
    await expect(fetching({ incrementalFrom: baseFile(changes) })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
  })
})
