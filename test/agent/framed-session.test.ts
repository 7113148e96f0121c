/** The agent's side of protocol 0.77: what a client sees, byte for byte, and what is remembered. */

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { type FrameEvent, FrameReader } from '../../lib/encodings/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import {
  type EndBlock,
  type KvBlock,
  KvBlockParser,
  readEnd,
  readProgress,
  writeReceipt,
} from '../../lib/protocol/index.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { converse, type RawClient, rawClient } from '../rig/raw-client.ts'

const FRAMED = 'agent-stream-encoding=application/x-framed-stream'

const request = (...pairs: string[]): string =>
  `0.77.0\n${pairs.length}\n${pairs.map((pair) => `${pair}\n`).join('')}\n`

let scratch: string
let source: string
let stateDirectory: string
let agent: RunningAgent

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'framed-'))
  source = join(scratch, 'source')
  stateDirectory = join(scratch, 'state')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), randomBytes(3_000_000))
  agent = await startAgent({ port: 0, directory: source, stateDirectory, spoolDirectory: scratch })
})
afterAll(async () => {
  await agent.stop()
  rmSync(scratch, { recursive: true })
})

interface Session {
  readonly blocks: KvBlock[]
  readonly events: FrameEvent[]
  readonly archive: Buffer
  readonly end: EndBlock | undefined
}

/** READY, the blocks up to SENDING or FAILED, the frames behind them. */
const readSession = (bytes: Buffer): Session => {
  expect(bytes.subarray(0, 6).toString()).toBe('READY\n')
  const blocks: KvBlock[] = []
  let rest = bytes.subarray(6)
  while (rest.length > 0 && blocks.at(-1)?.get('status') !== 'SENDING') {
    const parsed = new KvBlockParser().push(rest)
    if (parsed === undefined) break
    blocks.push(parsed.block)
    rest = parsed.rest
  }
  const events = [...new FrameReader().push(rest)].map((event) =>
    event.type === 'data' ? { ...event, bytes: Buffer.from(event.bytes) } : event,
  )
  const archive = Buffer.concat(events.flatMap((event) => (event.type === 'data' ? [event.bytes] : [])))
  const last = events.at(-1)
  return { blocks, events, archive, end: last?.type === 'end' ? readEnd(last.block) : undefined }
}

const newestState = async (sid: string): Promise<string | undefined> =>
  (await readHistory(stateDirectory)).jobs.filter((job) => job.sid === sid).at(-1)?.state

/** Asks, reads to the end frame, and leaves the answering to the test. */
const received = async (sid: string): Promise<{ client: RawClient; session: Session }> => {
  const client = await rawClient(agent.port)
  client.socket.write(request('action=copy from', `sid=${sid}`, FRAMED))
  for (;;) {
    const session = client.received().length > 3_000_000 ? readSession(client.received()) : undefined
    if (session?.end !== undefined) return { client, session }
    await once(client.socket, 'data')
  }
}

describe('a framed backup', () => {
  test('begins with the session, goes on with data and progress, ends with the digest of what was sent', async () => {
    const { client, session } = await received('whole')
    client.socket.end()
    const { ended } = await client.ended()

    const { blocks, archive, events, end } = session
    expect(blocks.map((block) => block.get('status'))).toEqual(['ACCEPTED', 'SENDING'])
    expect(Object.fromEntries(blocks[0] as KvBlock)).toMatchObject({
      sid: 'whole',
      protocol: '0.77.0',
      engine: 'directory',
      format: 'tar',
      encoding: 'application/x-framed-stream',
      compression: 'none',
    })
    const progress = events.flatMap((event) => (event.type === 'progress' ? [readProgress(event.block)] : []))
    expect(progress[0]).toMatchObject({ sent: 0, stage: 'reading' })
    expect(end).toMatchObject({
      status: 'COMPLETE',
      bytes: archive.length,
      sha256: createHash('sha256').update(archive).digest('hex'),
      entries: 1,
      engineExit: 0,
    })
    expect(ended).toBe('fin')
    expect(await newestState('whole')).toBe('sent-unconfirmed')
  })

  test('is delivered when the client has counted and hashed the same', async () => {
    const { client, session } = await received('kept')
    const { bytes, sha256 } = session.end as Extract<EndBlock, { status: 'COMPLETE' }>

    client.socket.write(writeReceipt({ status: 'RECEIVED', sid: 'kept', bytes, sha256 }))
    const { ended } = await client.ended()

    expect(ended).toBe('fin')
    expect(await newestState('kept')).toBe('delivered')
  })

  test('is delivered as well when the answer comes a byte at a time', async () => {
    const { client, session } = await received('trickled')
    const { bytes, sha256 } = session.end as Extract<EndBlock, { status: 'COMPLETE' }>

    for (const byte of writeReceipt({ status: 'RECEIVED', sid: 'trickled', bytes, sha256 })) {
      await new Promise((resolve) => client.socket.write(Buffer.of(byte), resolve))
    }
    await client.ended()

    expect(await newestState('trickled')).toBe('delivered')
  })

  test.each<[string, (bytes: number, sha256: string) => Buffer]>([
    ['another digest', (bytes) => writeReceipt({ status: 'RECEIVED', sid: 's', bytes, sha256: 'a'.repeat(64) })],
    ['another count', (bytes, sha256) => writeReceipt({ status: 'RECEIVED', sid: 's', bytes: bytes - 1, sha256 })],
    ['that it passed it on', (bytes, sha256) => writeReceipt({ status: 'PASSED', sid: 's', bytes, sha256 })],
    ['that it could not keep it', () => writeReceipt({ status: 'FAILED', msg: 'the disk is full' })],
    ['something else', () => Buffer.from('thanks\n\n')],
    ['more than a block may be', () => Buffer.alloc(70_000, 'x')],
  ])('is not delivered when the client answers with %s', async (what, answer) => {
    const { client, session } = await received(what)
    const { bytes, sha256 } = session.end as Extract<EndBlock, { status: 'COMPLETE' }>

    client.socket.write(answer(bytes, sha256))
    await client.ended()
    const verdict = await converse(agent.port, request('action=verdict', `sid=${what}`))

    expect(await newestState(what)).toBe('sent-unconfirmed')
    // Whoever looks later is told why, and that the backup stands all the same.
    expect(verdict.bytes.toString()).toContain(
      'status=COMPLETE\nmsg=complete and sent; nobody has confirmed that it arrived: ',
    )
  })

  test('lets the next client in while the last one still writes to its disk', async () => {
    const first = await received('slow disk')
    const second = await received('next')
    first.client.socket.destroy()
    second.client.socket.destroy()

    expect(second.session.end?.status).toBe('COMPLETE')
  })

  test('is cancelled by bytes behind the request', async () => {
    const { bytes } = await converse(agent.port, `${request('action=copy from', 'sid=noisy', FRAMED)}x`)

    expect(bytes.toString()).toContain('code=PROTOCOL_TRAILING_BYTES')
  })
})

describe('a plain stream in a session of 0.77', () => {
  test('comes behind the same two blocks, and ends as in 0.76', async () => {
    const { bytes, ended } = await converse(
      agent.port,
      request('action=copy from', 'sid=plain', 'agent-stream-encoding=application/octet-stream'),
    )

    const { blocks } = { blocks: bytes.subarray(0, 2000).toString('latin1') }
    expect(blocks).toContain('status=ACCEPTED')
    expect(blocks).toContain('status=SENDING')
    expect(ended).toBe('fin')
    expect(bytes.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true)
  })
})

describe('questions', () => {
  const ask = async (...pairs: string[]): Promise<KvBlock[]> => {
    const { bytes } = await converse(agent.port, request(...pairs))
    const blocks: KvBlock[] = []
    for (let rest = bytes.toString().startsWith('READY\n') ? bytes.subarray(6) : bytes; rest.length > 0; ) {
      const parsed = new KvBlockParser().push(rest)
      if (parsed === undefined) throw new Error(`half a block: ${bytes}`)
      blocks.push(parsed.block)
      rest = parsed.rest
    }
    return blocks
  }

  test('ping is answered with the version', async () => {
    expect(Object.fromEntries((await ask('action=ping'))[0] as KvBlock)).toMatchObject({
      status: 'OK',
      msg: 'pong',
      protocol: '0.77.0',
    })
  })

  test('verdict tells how a backup ended, from the history', async () => {
    const { client, session } = await received('asked about')
    client.socket.end()
    await client.ended()

    const [block] = await ask('action=verdict', 'sid=asked about')

    expect(Object.fromEntries(block as KvBlock)).toMatchObject({
      status: 'COMPLETE',
      outcome: 'sent-unconfirmed',
      bytes: String(session.archive.length),
      sha256: createHash('sha256').update(session.archive).digest('hex'),
    })
  })

  test.each(['cancel', 'verdict'])('%s of a session nobody knows is refused', async (action) => {
    const [block] = await ask(`action=${action}`, 'sid=nobody')

    expect(Object.fromEntries(block as KvBlock)).toMatchObject({ status: 'FAILED', code: 'JOB_UNKNOWN' })
  })

  test('a client of 0.76 knows none of them', async () => {
    const { bytes } = await converse(agent.port, '0.76.1\n1\naction=ping\n\n')

    expect(bytes.toString()).toContain('code=AGENT_ACTION_UNKNOWN')
    expect(bytes.toString()).toContain('expected the action "copy from" or "monitor", found "ping"')
  })
})

describe('with a backup program that goes on for as long as it likes', () => {
  let program: AgentProcess

  beforeAll(async () => {
    const bin = join(scratch, 'bin')
    mkdirSync(bin)
    writeFileSync(
      join(bin, 'mariadb-backup'),
      `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
  *' --help '*) exit 0 ;;
esac
printf 'XBSTCK01'
exec sleep 600
`,
    )
    chmodSync(join(bin, 'mariadb-backup'), 0o755)
    program = await AgentProcess.start(
      ['--engine', 'mariadb-backup', '--spool-dir', scratch, '--state-dir', join(scratch, 'state-2')],
      { environment: { PATH: `${bin}:/usr/bin:/bin` } },
    )
  })
  afterAll(async () => {
    await program.stop()
  })

  test('a second client is told that it is busy, status shows the first, and cancel ends it with a FAILED frame', async () => {
    const client = await rawClient(program.port)
    client.socket.write(request('action=copy from', 'user=u', 'password=p', 'sid=endless', FRAMED))
    await program.logged(({ msg, sid }) => msg === 'backup starting' && sid === 'endless')
    while (!client.received().includes('stage=')) await once(client.socket, 'data')

    const busy = await converse(program.port, request('action=copy from', 'user=u', 'password=p', FRAMED))
    const status = await converse(program.port, request('action=status'))
    const running = await converse(program.port, request('action=verdict', 'sid=endless'))
    const cancelled = await converse(program.port, request('action=cancel', 'sid=endless'))
    const { bytes, ended } = await client.ended()

    expect(busy.bytes.toString()).toContain('code=JOB_BUSY')
    expect(status.bytes.toString()).toMatch(/jobs=1\n\n\d+\nsid=endless\n/)
    expect(running.bytes.toString()).toContain('status=RUNNING')
    expect(cancelled.bytes.toString()).toContain('cancelled=1')
    expect(readSession(bytes).end).toMatchObject({ status: 'FAILED', code: 'JOB_CANCELLED' })
    expect(ended).toBe('fin')
    const { jobs } = await readHistory(join(scratch, 'state-2'))
    expect(jobs.map(({ sid, state, ...job }) => [sid, state, 'code' in job ? job.code : undefined])).toEqual([
      ['endless', 'cancelled', 'JOB_CANCELLED'],
    ])
  })
})

describe('a client that reads nothing', () => {
  const BIG = 64 * 1024 * 1024

  test.each([
    ['a framed stream', request('action=copy from', 'sid=slow', FRAMED)],
    [
      'a stream of 0.76',
      '0.76.1\n5\naction=copy from\nbackup-level=0\nfile=ZRM_LINKS/.\nsid=slow\nagent-stream-encoding=application/octet-stream\n\n',
    ],
  ])('of %s does not hold the backup program up: it is done while the bytes wait in the spill', async (_, asked) => {
    const big = mkdtempSync(join(scratch, 'big-'))
    writeFileSync(join(big, 'ibdata1'), randomBytes(BIG))
    const patient = await startAgent({ port: 0, directory: big, spoolDirectory: scratch })
    const client = await rawClient(patient.port)
    client.socket.write(asked)
    await client.hasReceived(1)
    client.socket.pause()

    let shown = ''
    while (!shown.includes('stage=sending'))
      shown = (await converse(patient.port, request('action=status'))).bytes.toString()
    const { jobs } = { jobs: /spilled=(\d+)/.exec(shown)?.[1] }
    client.socket.resume()
    client.socket.end()
    const { bytes, ended } = await client.ended()
    await patient.stop()

    expect(Number(jobs)).toBeGreaterThan(BIG / 4)
    expect(bytes.length).toBeGreaterThan(BIG)
    expect(ended).toBe('fin')
  })
})
