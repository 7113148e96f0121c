/** The programs killed in the middle of a real backup: what had arrived is never taken for a backup. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { AnswerReader } from '../../lib/protocol/index.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { type RawClient, rawClient } from '../rig/raw-client.ts'

const MB = 1_000_000

const REQUEST = `0.76.1
7
action=copy from
user=backup
password=secret
backup-level=0
replication=0
file=/srv/ZRM_LINKS/.
agent-stream-encoding=application/octet-stream

`

let server: ThrowawayServer
let scratch: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'killed-'))
  server = await ThrowawayServer.start()
  await server.createBackupUser('backup', 'secret')
  await server.query(`
    CREATE DATABASE shop;
    CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARBINARY(8000)) ENGINE=InnoDB;
    INSERT INTO shop.orders SELECT seq, REPEAT('x', 8000) FROM shop.seq_1_to_12000;`)
})
afterAll(async () => {
  await server.discard()
  rmSync(scratch, { recursive: true })
})

/** Without a spill on disk the backup program has to wait for a client that does not read: it can be killed then. */
const serve = (): Promise<AgentProcess> =>
  AgentProcess.start([
    ...['--engine', 'mariadb-backup', '--socket', server.socket],
    ...['--spool-dir', scratch, '--spill-bytes', '0'],
  ])

/** A backup of which so many bytes have been read, and which cannot go on before more are. */
const backupHeldAt = async (agent: AgentProcess, bytes: number): Promise<RawClient> => {
  const client = await rawClient(agent.port)
  client.socket.write(REQUEST)
  await client.hasReceived(bytes)
  client.socket.pause()
  return client
}

/** Never 0: a signal to that would go to ourselves. */
const childOf = (pid: number): number => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  if (!/^\d+$/.test(children)) throw new Error(`expected one child of the agent, found "${children}"`)
  return Number(children)
}

/** Gone, or a zombie that its parent has yet to fetch: it runs no more. */
const runs = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

const untilGone = async (pid: number): Promise<void> => {
  while (runs(pid)) await new Promise((resolve) => setImmediate(resolve))
}

/** What the receiver's own tar says of the stream behind the answer. */
const tarExitStatus = (bytes: Buffer): number | null => {
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error('no answer')
  expect(answer.block.get('status')).toBe('SENDING')
  const directory = mkdtempSync(join(scratch, 'untar-'))
  const { status } = spawnSync('tar', ['-xf', '-', '-C', directory], { input: answer.rest })
  rmSync(directory, { recursive: true })
  return status
}

const POINTS = [
  ['its first bytes', 1],
  ['2 MB', 2 * MB],
  ['20 MB', 20 * MB],
  ['40 MB', 40 * MB],
] as const

describe.each(POINTS)('after %s', (_, bytes) => {
  test.each(['SIGKILL', 'SIGINT'] as const)(
    'the backup program ended by %s: a reset, and tar fails',
    async (signal) => {
      const agent = await serve()
      const client = await backupHeldAt(agent, bytes)

      process.kill(childOf(agent.pid), signal)
      client.socket.resume()
      const { bytes: received, ended } = await client.ended()
      const failed = await agent.logged(({ code }) => code !== undefined)
      await agent.stop()

      expect(ended).toBe('reset')
      expect(tarExitStatus(received)).not.toBe(0)
      expect(failed['code']).toBe('ENGINE_FAILED')
    },
  )

  test('the agent killed by SIGKILL: tar fails, and the backup program goes with it', async () => {
    const agent = await serve()
    const client = await backupHeldAt(agent, bytes)
    const child = childOf(agent.pid)

    await agent.stop('SIGKILL')
    await untilGone(child)
    client.socket.resume()
    const { bytes: received } = await client.ended()

    expect(tarExitStatus(received)).not.toBe(0)
    expect(await server.query("SELECT id FROM information_schema.processlist WHERE user = 'backup'")).toEqual([])
  })
})

test('a client that resets the connection: the backup program is gone, and so is its session', async () => {
  const agent = await serve()
  const client = await backupHeldAt(agent, 2 * MB)
  const child = childOf(agent.pid)

  client.socket.resetAndDestroy()
  await untilGone(child)
  const failed = await agent.logged(({ code }) => code !== undefined)
  const { exitCode } = await agent.stop()

  expect(failed['code']).toBe('JOB_CLIENT_GONE')
  expect(await server.query("SELECT id FROM information_schema.processlist WHERE user = 'backup'")).toEqual([])
  expect(exitCode).toBe(0)
})

test('SIGTERM lets a running backup end', async () => {
  const agent = await serve()
  const client = await backupHeldAt(agent, 2 * MB)

  agent.signal('SIGTERM')
  await agent.logged('told to stop')
  client.socket.resume()
  const { bytes, ended } = await client.ended()
  const { exitCode } = await agent.ended

  expect(ended).toBe('fin')
  expect(tarExitStatus(bytes)).toBe(0)
  expect(exitCode).toBe(0)
})

test('a second signal cancels it', async () => {
  const agent = await serve()
  const client = await backupHeldAt(agent, 2 * MB)
  const child = childOf(agent.pid)

  agent.signal('SIGTERM')
  await agent.logged('told to stop')
  agent.signal('SIGTERM')
  client.socket.resume()
  const { bytes, ended } = await client.ended()
  await agent.ended

  expect(ended).toBe('reset')
  expect(tarExitStatus(bytes)).not.toBe(0)
  expect(runs(child)).toBe(false)
})

test('a client that reads on only when the cancelled agent is gone has nothing that its tar takes', async () => {
  const agent = await serve()
  const client = await backupHeldAt(agent, 2 * MB)

  agent.signal('SIGTERM')
  await agent.logged('told to stop')
  agent.signal('SIGTERM')
  await agent.ended
  client.socket.resume()
  const { bytes } = await client.ended() // by a FIN where all that was sent was in the system's hands: PROTOCOL.md, "The exception"

  expect(tarExitStatus(bytes)).not.toBe(0)
})

test('a wrong password is said in place of READY', async () => {
  const agent = await serve()
  const client = await rawClient(agent.port)

  client.socket.write(REQUEST.replace('secret', 'wrong'))
  const { bytes, ended } = await client.ended()
  await agent.stop()

  expect(bytes.toString()).toContain('status=FAILED')
  expect(bytes.toString()).toContain('code=ENGINE_LOGIN')
  expect(bytes.toString()).not.toContain('READY')
  expect(ended).toBe('fin')
})
