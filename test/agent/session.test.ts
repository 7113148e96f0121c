import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { createDecoder, type EncodingName } from '../../lib/encodings/index.ts'
import { AnswerReader, type KvBlock } from '../../lib/protocol/index.ts'
import { converse, rawClient } from '../rig/raw-client.ts'

/** The example of the protocol text, as it stands there. */
const EXAMPLE = `0.76.1
6
action=copy from
user=backupdb
password=s3cUre
backup-level=0
replication=1
file=/srv/backups/BackupSet/20110304005033/ZRM_LINKS/.

`
const withPair = (pair: string): string => EXAMPLE.replace('\n6\n', '\n7\n').replace('\n\n', `\n${pair}\n\n`)

let scratch: string
let source: string
let agent: RunningAgent
/** Its backup is larger than all buffers between two sockets, so it cannot end while the client does not read. */
let bigAgent: RunningAgent

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'session-'))
  source = join(scratch, 'source')
  mkdirSync(join(source, 'shop'), { recursive: true })
  writeFileSync(join(source, 'ibdata1'), randomBytes(3_000_000))
  writeFileSync(join(source, 'shop', 'orders.ibd'), randomBytes(700_000))
  writeFileSync(join(source, 'shop', 'empty.MYD'), '')
  agent = await startAgent({ port: 0, engine: 'directory', directory: source, seconds: { request: 1 } })
  const big = join(scratch, 'big')
  mkdirSync(big)
  writeFileSync(join(big, 'ibdata1'), randomBytes(64 * 1024 * 1024))
  bigAgent = await startAgent({ port: 0, directory: big })
})
afterAll(async () => {
  await Promise.all([agent.stop(), bigAgent.stop()])
  rmSync(scratch, { recursive: true })
})

interface Read {
  readonly ready: boolean
  readonly block: KvBlock
  readonly rest: Buffer
}

const readAnswer = (bytes: Buffer): Read => {
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error(`no answer in ${JSON.stringify(bytes.toString().slice(0, 200))}`)
  return answer
}

const decode = (encoding: EncodingName, wire: Buffer): Buffer => {
  const decoder = createDecoder(encoding)
  return Buffer.concat([...decoder.decode(wire), ...decoder.end()])
}

const untar = (archive: Buffer): { status: number | null; directory: string } => {
  const directory = mkdtempSync(join(scratch, 'untar-'))
  return { status: spawnSync('tar', ['-xf', '-', '-C', directory], { input: archive }).status, directory }
}

describe('the example request of the protocol text', () => {
  test('gets READY, a SENDING block with an id made up for it, and a whole backup in uuencode', async () => {
    const { bytes, ended } = await converse(agent.port, EXAMPLE)

    const { ready, block, rest } = readAnswer(bytes)
    const { status, directory } = untar(decode('uuencode', rest))
    expect(bytes.subarray(0, 6).toString()).toBe('READY\n')
    expect(ready).toBe(true)
    expect([...block.keys()]).toEqual(['status', 'msg', 'sid'])
    expect(block.get('status')).toBe('SENDING')
    expect(block.get('msg')).toContain('directory')
    expect(block.get('sid')).toMatch(/^[0-9a-f-]{36}$/)
    expect(ended).toBe('fin')
    expect(status).toBe(0)
    execFileSync('diff', ['-r', source, directory])
  })

  test('gets it too when it comes one byte at a time', async () => {
    const client = await rawClient(agent.port)
    client.socket.setNoDelay(true)
    for (const byte of Buffer.from(EXAMPLE)) {
      await new Promise((resolve) => client.socket.write(Buffer.of(byte), resolve))
    }

    const { bytes, ended } = await client.ended()

    expect(readAnswer(bytes).block.get('status')).toBe('SENDING')
    expect(ended).toBe('fin')
  })

  test('gets it too when the client closes its half after the request', async () => {
    const { bytes, ended } = await converse(agent.port, EXAMPLE, { halfClose: true })

    const { directory, status } = untar(decode('uuencode', readAnswer(bytes).rest))
    expect(ended).toBe('fin')
    expect(status).toBe(0)
    execFileSync('diff', ['-r', source, directory])
  })
})

test.each<[string, EncodingName]>([
  ['application/octet-stream', 'octet'],
  ['application/x-base64-stream', 'base64'],
  ['application/x-uuencode-stream', 'uuencode'],
])('sends the same archive as %s', async (mime, encoding) => {
  const { bytes } = await converse(agent.port, withPair(`agent-stream-encoding=${mime}`))

  const { directory, status } = untar(decode(encoding, readAnswer(bytes).rest))

  expect(status).toBe(0)
  execFileSync('diff', ['-r', source, directory])
})

test('a request of the same run that is not for the backup gets READY, an OK block and no stream', async () => {
  const { bytes, ended } = await converse(agent.port, EXAMPLE.replace('ZRM_LINKS/.', 'backup.mycnf'))

  const { ready, block, rest } = readAnswer(bytes)
  expect(ready).toBe(true)
  expect(block.get('status')).toBe('OK')
  expect(rest).toHaveLength(0)
  expect(ended).toBe('fin')
})

describe('a refusal stands in place of READY, so that every deployed client notices', () => {
  test.each([
    ['a newer minor version', EXAMPLE.replace('0.76.1', '0.78.0'), 'PROTOCOL_VERSION_INCOMPATIBLE'],
    ['another major version', EXAMPLE.replace('0.76.1', '1.0.0'), 'PROTOCOL_VERSION_INCOMPATIBLE'],
    ['a version that is none', EXAMPLE.replace('0.76.1', '1.8b7_palomino'), 'PROTOCOL_VERSION_INVALID'],
    ['a pair too many', EXAMPLE.replace('\n6\n', '\n5\n'), 'PROTOCOL_BLOCK_UNTERMINATED'],
    ['a key twice', withPair('user=root'), 'PROTOCOL_KEY_DUPLICATE'],
    ['bytes behind the request', `${EXAMPLE}x`, 'PROTOCOL_TRAILING_BYTES'],
    ['an unknown action', EXAMPLE.replace('copy from', 'copy to'), 'AGENT_ACTION_UNKNOWN'],
    ['an incremental backup', EXAMPLE.replace('level=0', 'level=1'), 'AGENT_NOT_SUPPORTED'],
  ])('%s', async (_, request, code) => {
    const { bytes, ended } = await converse(agent.port, request)

    const { ready, block, rest } = readAnswer(bytes)
    expect(ready).toBe(false)
    expect(bytes.toString()).not.toContain('READY')
    expect(block.get('status')).toBe('FAILED')
    expect(block.get('code')).toBe(code)
    expect(block.get('msg')).not.toBe('')
    expect(rest).toHaveLength(0)
    expect(ended).toBe('fin')
  })

  test('a client that stops in the middle of its request', async () => {
    const { bytes } = await converse(agent.port, EXAMPLE.slice(0, 40), { halfClose: true })

    expect(readAnswer(bytes).block.get('code')).toBe('PROTOCOL_TRUNCATED')
  })

  test('a client that never finishes its request: the deadline counts from the connection, not from the last byte', async () => {
    const { bytes } = await converse(agent.port, EXAMPLE.slice(0, 40))

    expect(readAnswer(bytes).block.get('code')).toBe('AGENT_REQUEST_TIMEOUT')
  })

  test('a backup while another one runs, which goes on undisturbed', async () => {
    const first = await rawClient(bigAgent.port)
    first.socket.write(withPair('agent-stream-encoding=application/octet-stream'))
    await first.hasReceived(1)
    first.socket.pause()

    const second = await converse(bigAgent.port, EXAMPLE)
    first.socket.resume()
    const { bytes, ended } = await first.ended()

    expect(readAnswer(second.bytes).block.get('code')).toBe('JOB_BUSY')
    expect(ended).toBe('fin')
    expect(untar(readAnswer(bytes).rest).status).toBe(0)
  })
})

test('bytes behind a request are refused also when they come later', async () => {
  const client = await rawClient(bigAgent.port)
  client.socket.write(EXAMPLE)
  await client.hasReceived(1)

  client.socket.write('and another thing\n')
  const { bytes, ended } = await client.ended()

  expect(readAnswer(bytes).block.get('status')).toBe('SENDING')
  expect(ended).toBe('reset')
})

test('a client that goes away in the middle gives its place to the next one', async () => {
  const first = await rawClient(bigAgent.port)
  first.socket.write(EXAMPLE)
  await first.hasReceived(100)
  first.socket.resetAndDestroy()

  // Until the agent has noticed, the answer is "busy"; it has to stop being that.
  let block: KvBlock
  do block = readAnswer((await converse(bigAgent.port, EXAMPLE)).bytes).block
  while (block.get('code') === 'JOB_BUSY')

  expect(block.get('status')).toBe('SENDING')
})

test('a file that changes while it is read ends the stream with a reset, inside a member', async () => {
  const directory = join(scratch, 'changing')
  mkdirSync(directory)
  writeFileSync(join(directory, 'big.ibd'), randomBytes(64 * 1024 * 1024))
  writeFileSync(join(directory, 'ibdata1'), randomBytes(1000))
  const changing = await startAgent({ port: 0, directory })
  try {
    const client = await rawClient(changing.port)
    client.socket.write(withPair('agent-stream-encoding=application/octet-stream'))
    await client.hasReceived(100_000)
    client.socket.pause()
    writeFileSync(join(directory, 'big.ibd'), randomBytes(1000), { flag: 'a' })
    client.socket.resume()

    const { bytes, ended } = await client.ended()

    expect(ended).toBe('reset')
    expect(untar(readAnswer(bytes).rest).status).not.toBe(0)
  } finally {
    await changing.stop()
  }
})
