/**
 * A real MariaDB server behind a real xinetd: new clients, deployed clients, wrong passwords, and several at once.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { agentStatus, backupVerdict, cancelBackup, fetchBackup, verifyBackup } from '../../lib/client/index.ts'
import { createDecoder } from '../../lib/encodings/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import { AnswerReader } from '../../lib/protocol/index.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { converse, type RawClient, rawClient } from '../rig/raw-client.ts'
import { Xinetd } from '../rig/xinetd.ts'

/** As a deployed client sends it: uuencode by default. */
const deployed = (sid: string, password = 'secret', encoding = ''): string => `0.76.1
8
action=copy from
user=backup
password=${password}
backup-level=0
replication=0
file=${sid}/ZRM_LINKS/.
sid=${sid}
agent-stream-encoding=${encoding}

`

let server: ThrowawayServer
let scratch: string
let state: string
let xinetd: Xinetd

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'under-xinetd-'))
  state = join(scratch, 'state')
  server = await ThrowawayServer.start()
  await server.createBackupUser('backup', 'secret')
  await server.query(`
    CREATE DATABASE shop;
    CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARBINARY(8000)) ENGINE=InnoDB;
    INSERT INTO shop.orders SELECT seq, REPEAT('x', 8000) FROM shop.seq_1_to_4000;`)
  const args = ['inetd', '--engine', 'mariadb-backup', '--socket', server.socket, '--state-dir', state]
  const log = ['--spool-dir', scratch, '--log', `file:${join(scratch, 'agent.log')}`]
  xinetd = await Xinetd.start([
    { name: 'backup', args: [...args, ...log] },
    // The backup program has to wait for a client that does not read: it runs for as long as a test wants.
    { name: 'held', args: [...args, ...log, '--spill-bytes', '0'] },
  ])
})
afterAll(async () => {
  await xinetd.stop()
  await server.discard()
  rmSync(scratch, { recursive: true })
})

const host = '127.0.0.1'

test('a client of 0.77 gets a backup with the verdict, and the next process knows of it', async () => {
  const port = xinetd.port('backup')
  const file = join(scratch, 'framed.tar')
  const login = { user: 'backup', password: 'secret' }

  const receipt = await fetchBackup({ host, port, ...login, sid: 'framed', target: { file }, requireVerdict: true })
    .receipt

  expect(receipt).toMatchObject({ proof: 'agent-verdict', engine: 'mariadb-backup' })
  await expect(verifyBackup(file, { requireVerdict: true })).resolves.toMatchObject({ sha256: receipt.sha256 })
  await expect(backupVerdict('framed', { host, port, wait: true })).resolves.toMatchObject({
    status: 'COMPLETE',
    outcome: 'delivered',
    sha256: receipt.sha256,
  })
})

test('a deployed client gets its uuencoded tar, whole, and a FIN', async () => {
  const { bytes, ended } = await converse(xinetd.port('backup'), deployed('deployed'))

  const answer = new AnswerReader().push(bytes)
  expect(bytes.toString('latin1', 0, 6)).toBe('READY\n')
  expect(answer?.block.get('status')).toBe('SENDING')
  expect(ended).toBe('fin')
  const decoder = createDecoder('uuencode')
  const tar = [...decoder.decode(answer?.rest ?? Buffer.alloc(0)), ...decoder.end()]
  const target = join(scratch, 'deployed')
  mkdirSync(target)
  const untar = spawnSync('tar', ['-xf', '-', '-C', target], { input: Buffer.concat(tar) })
  expect(untar.status).toBe(0)
  expect(readFileSync(join(target, 'xtrabackup_checkpoints'), 'utf8')).toContain('backup_type = full')
})

test('a wrong password is refused in place of READY, and nothing else is sent', async () => {
  const { bytes, ended } = await converse(xinetd.port('backup'), deployed('wrong', 'not this one'))

  expect(bytes.toString()).toMatch(/^4\nstatus=FAILED\nmsg=[^\n]+\nsid=wrong\ncode=ENGINE_LOGIN\n\n$/)
  expect(bytes.toString()).not.toContain('not this one')
  expect(ended).toBe('fin')
})

/** A backup of which the first bytes are here, and that does not go on. */
const heldBackup = async (sid: string): Promise<RawClient> => {
  const client = await rawClient(xinetd.port('held'))
  client.socket.write(deployed(sid, 'secret', 'application/octet-stream'))
  await client.hasReceived(1)
  client.socket.pause()
  return client
}

describe('while another process makes a backup', () => {
  test('a second one is refused at once, in place of READY', async () => {
    const first = await heldBackup('the first')

    const { bytes } = await converse(xinetd.port('backup'), deployed('the second'))
    first.socket.resetAndDestroy()

    expect(bytes.toString()).toMatch(/^4\nstatus=FAILED\nmsg=busy: [^\n]+\nsid=the second\ncode=JOB_BUSY\n\n$/)
  })

  test('status lists it, verdict says that it runs, and cancel ends it and says who wanted that', async () => {
    const first = await heldBackup('elsewhere')
    const asked = { host, port: xinetd.port('backup') }

    const status = await agentStatus(asked)
    const running = await backupVerdict('elsewhere', asked)
    const cancelled = await cancelBackup('elsewhere', asked)
    first.socket.resume()
    const { ended } = await first.ended()
    const verdict = await backupVerdict('elsewhere', asked)

    expect(status.jobs).toEqual([expect.objectContaining({ sid: 'elsewhere', state: 'running', bytes: undefined })])
    expect(status.jobs[0]?.stage).toMatch(/^in another process, \d+$/)
    expect(running.status).toBe('RUNNING')
    expect(cancelled).toBe(1)
    expect(ended).toBe('reset')
    expect(verdict).toMatchObject({ status: 'FAILED', outcome: 'cancelled', code: 'JOB_CANCELLED' })
    expect(verdict.msg).toMatch(/^cancelled by 127\.0\.0\.1:\d+/)
  })
})

test('a client that goes away ends the backup, and the next one finds the server free', async () => {
  const first = await heldBackup('gone')

  first.socket.resetAndDestroy()
  const port = xinetd.port('backup')
  await expect(backupVerdict('gone', { host, port, wait: true })).resolves.toMatchObject({ status: 'FAILED' })
  const file = join(scratch, 'next.tar')
  const next = await fetchBackup({ host, port, user: 'backup', password: 'secret', target: { file } }).receipt

  expect(next.proof).toBe('agent-verdict')
})

test('SIGTERM lets a running backup end; a second one breaks it off', async () => {
  const first = await heldBackup('stopped')
  const { jobs } = await readHistory(state)
  const pid = jobs.find(({ sid }) => sid === 'stopped')?.process.pid ?? 0
  expect(pid).toBeGreaterThan(1)

  process.kill(pid, 'SIGTERM')
  process.kill(pid, 'SIGINT')
  first.socket.resume()
  const { ended } = await first.ended()

  expect(ended).toBe('reset')
})

test('nothing of it all has been written where the client would have seen it, but the log has it', () => {
  const lines = readFileSync(join(scratch, 'agent.log'), 'utf8').trimEnd().split('\n')

  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toContain('engine')
})
