/**
 * Compressors and agents killed in the middle of a compressed stream, and compressors that take their time.
 *
 * Whatever was received by then, the client's own decompressor refuses; and nothing runs on.
 */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { agentStatus, fetchBackup } from '../../lib/client/index.ts'
import { AnswerReader } from '../../lib/protocol/index.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { type RawClient, rawClient } from '../rig/raw-client.ts'
import { plainEnvironment } from '../rig/run-program.ts'

const MIB = 1024 * 1024

let home: string
let scratch: string
let source: string

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'compressor-ends-'))
  source = join(home, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), randomBytes(24 * MIB))
})
afterAll(() => rmSync(home, { recursive: true }))
beforeEach(() => {
  scratch = mkdtempSync(join(home, 'case-'))
})
afterEach(() => rmSync(scratch, { recursive: true }))

const serve = (...options: string[]): Promise<AgentProcess> =>
  AgentProcess.start(['--engine', 'directory', '--directory', source, '--spool-dir', scratch, ...options])

const requestFor = (words: string): string => `0.76.1
5
action=copy from
backup-level=0
file=/srv/ZRM_LINKS/.
agent-stream-encoding=application/octet-stream
xtrabackup-agent:inline-compress=${words}

`

/** A backup of which so many bytes have been read, and which cannot go on before more are. */
const heldAt = async (agent: AgentProcess, words: string, bytes: number): Promise<RawClient> => {
  const client = await rawClient(agent.port)
  client.socket.write(requestFor(words))
  await client.hasReceived(bytes)
  client.socket.pause()
  return client
}

/** The exit status of the client's decompressor for what has come behind the answer. */
const undoing = (words: string, bytes: Buffer): number | null => {
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error('no answer')
  expect(answer.block.get('status')).toBe('SENDING')
  const [program = '', ...options] = words.split(' ')
  return spawnSync(program, [...options, '-d'], { input: answer.rest, stdio: ['pipe', 'ignore', 'ignore'] }).status
}

/** Processes of that name whose parent is the agent. */
const childrenOf = (pid: number, name: string): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((child) => child.trim() !== '')
    .map(Number)
    .filter((child) => readFileSync(`/proc/${child}/comm`, 'utf8').trim() === name)

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

const WORDS = ['gzip -c -1', 'pigz -c -1 -p 2', 'zstd -c -1', 'lz4 -c', 'xz -c -0']

describe.each(WORDS)('a backup compressed by %s', (words) => {
  const name = words.split(' ')[0] ?? ''

  test('whose compressor is killed is reset, refused by the decompressor, and remembered as failed', async () => {
    const agent = await serve()
    const client = await heldAt(agent, words, 1)
    const [compressor = 0, ...others] = childrenOf(agent.pid, name)

    process.kill(compressor, 'SIGKILL')
    const failed = await agent.logged(({ code }) => code !== undefined) // while the client still takes nothing
    client.socket.resume()
    const { bytes, ended } = await client.ended()
    await agent.stop()

    expect(others).toEqual([])
    expect(failed).toMatchObject({ code: 'COMPRESS_FAILED', msg: expect.stringContaining('SIGKILL') })
    expect(ended).toBe('reset')
    expect(undoing(words, bytes)).not.toBe(0)
  })

  test.each([1, 9 * MIB])('whose agent is killed after %d bytes is refused, and its compressor gone', async (at) => {
    const agent = await serve()
    const client = await heldAt(agent, words, at)
    const [compressor = 0] = childrenOf(agent.pid, name)

    await agent.stop('SIGKILL')
    await untilGone(compressor)
    client.socket.resume()
    const { bytes } = await client.ended()

    expect(compressor).not.toBe(0)
    expect(undoing(words, bytes)).not.toBe(0)
  })
})

test('a compressor that stands still is given up, and the client told', async () => {
  const agent = await serve('--hang-seconds', '1')
  const client = await heldAt(agent, 'gzip -c -1', 1)
  client.socket.resume()
  const [compressor = 0] = childrenOf(agent.pid, 'gzip')

  process.kill(compressor, 'SIGSTOP')
  const failed = await agent.logged(({ code }) => code !== undefined)
  const { bytes, ended } = await client.ended()
  await untilGone(compressor)
  await agent.stop()

  expect(failed).toMatchObject({ code: 'COMPRESS_FAILED', msg: expect.stringContaining('neither took') })
  expect(ended).toBe('reset')
  expect(undoing('gzip -c', bytes)).not.toBe(0)
})

test('a compressor that takes its time keeps nobody but the client waiting: the backup is made meanwhile', async () => {
  const programs = join(scratch, 'programs')
  const go = join(scratch, 'go')
  mkdirSync(programs)
  writeFileSync(
    join(programs, 'gzip'),
    `#!/bin/sh\nwhile [ ! -e ${go} ]; do /bin/sleep 0.05; done\nexec /usr/bin/gzip -c -1\n`,
  )
  chmodSync(join(programs, 'gzip'), 0o755)
  const environment = { ...plainEnvironment(), PATH: `${programs}:/usr/bin:/bin` }
  const agent = await AgentProcess.start(['--directory', source, '--spool-dir', scratch], { environment })
  const address = { host: agent.host, port: agent.port }
  const fetch = fetchBackup({ ...address, compress: 'gzip', target: { file: join(scratch, 'backup.tar') } })

  for (;;) {
    const [job] = (await agentStatus(address)).jobs
    // All of it was made, and waits: in the spill, on the disk.
    if (job?.stage === 'sending' && (job.bytes ?? 0) > 24 * MIB) {
      expect(job.spilledBytes).toBeGreaterThan(0)
      expect(job.sent).toBe(0)
      expect(job.compression).toBe('gzip')
      break
    }
  }
  writeFileSync(go, '')
  const receipt = await fetch.receipt
  const complete = await agent.logged('backup complete')
  await agent.stop()

  expect(receipt).toMatchObject({ proof: 'agent-verdict', compression: 'gzip' })
  expect(complete).toMatchObject({ archiveBytes: receipt.bytes, sentBytes: receipt.bytes })
  expect(complete['compressedBytes']).toBeGreaterThan(0)
  expect(readdirSync(scratch).sort()).toEqual(['backup.tar', 'backup.tar.receipt', 'go', 'programs'])
})
