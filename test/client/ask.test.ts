import { afterEach, describe, expect, test } from '@jest/globals'

import { agentStatus, type AskOptions, backupVerdict, cancelBackup, pingAgent } from '../../lib/client/index.ts'
import type { BackupError } from '../../lib/errors/index.ts'
import { type StatusBlock, writeKvBlock, writeStatus } from '../../lib/protocol/index.ts'
import { type Caller, ScriptedAgent, sha256, TOO_NEW } from './scripted-agent.ts'

let agent: ScriptedAgent
const requests: string[] = []

afterEach(async () => {
  await agent.close()
  requests.length = 0
})

/** Gives these answers, one after the other, the last one again and again. */
const answering = async (...answers: readonly [Buffer, ...Buffer[]]): Promise<AskOptions> => {
  const [first, ...others] = answers.map((answer) => async (caller: Caller) => {
    requests.push(await caller.request())
    caller.say(answer)
    caller.socket.end()
    await caller.lastWords()
  })
  if (first === undefined) throw new Error('no answer')
  agent = await ScriptedAgent.start(first, ...others)
  return { host: agent.host, port: agent.port }
}

const ready = (status: StatusBlock['status'], pairs: Record<string, string> = {}, ...behind: Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.from('READY\n'),
    writeStatus(
      { status, msg: 'as asked', ...(pairs['sid'] === undefined ? {} : { sid: pairs['sid'] }) },
      others(pairs),
    ),
    ...behind,
  ])

const others = ({ sid: _, ...pairs }: Record<string, string>): [string, string][] => Object.entries(pairs)

const IDENTITY = { agent: 'kv-backup-agent/0.1.0', protocol: '0.77.0' }
const HEAD = { ...IDENTITY, engine: 'mariadb-backup', 'engine-version': '10.11.19', uptime: '3600', history: 'ok' }
const JOB = {
  sid: 'nightly',
  job: '7f',
  peer: '10.0.0.9:40000',
  state: 'streaming',
  stage: 'copying',
  seconds: '61',
  bytes: '4096',
  sent: '2048',
  files: '3',
  percent: '40',
  eta: '90',
  spilled: '0',
  encoding: 'application/x-framed-stream',
  format: 'tar',
}
const VERDICT = {
  sid: 'nightly',
  job: '7f',
  outcome: 'delivered',
  bytes: '4096',
  sha256: sha256(Buffer.of(1)),
  entries: '3',
  'binlog-file': 'bin.000007',
  'binlog-position': '2858',
  gtid: '0-1-16',
  'lsn-to': '1568263',
  started: '2026-02-03T04:05:06Z',
  ended: '2026-02-03T05:05:06Z',
}
const jobBlock = (changes: Record<string, string> = {}): Buffer => writeKvBlock(Object.entries({ ...JOB, ...changes }))

test('ping says who answers, and how soon', async () => {
  const address = await answering(ready('OK', IDENTITY))

  await expect(pingAgent(address)).resolves.toEqual({ ...IDENTITY, roundTripMs: expect.any(Number) })

  expect(requests).toEqual(['0.77.0\n1\naction=ping\n\n'])
})

test('status shows the agent and every job', async () => {
  const answer = ready('OK', { ...HEAD, jobs: '2' }, jobBlock(), jobBlock({ sid: 'other', state: 'starting' }))
  const address = await answering(answer)

  await expect(agentStatus(address)).resolves.toEqual({
    ...IDENTITY,
    engine: 'mariadb-backup',
    engineVersion: '10.11.19',
    uptimeSeconds: 3600,
    history: 'ok',
    jobs: [
      {
        sid: 'nightly',
        job: '7f',
        peer: '10.0.0.9:40000',
        state: 'streaming',
        stage: 'copying',
        seconds: 61,
        bytes: 4096,
        sent: 2048,
        files: 3,
        percent: 40,
        etaSeconds: 90,
        spilledBytes: 0,
        encoding: 'application/x-framed-stream',
        format: 'tar',
      },
      expect.objectContaining({ sid: 'other', state: 'starting' }),
    ],
  })
})

test('status shows an idle agent, and what is not known yet is left out', async () => {
  const { history: _, ...head } = HEAD
  const address = await answering(ready('OK', { ...head, jobs: '0' }))

  await expect(agentStatus(address)).resolves.toMatchObject({ history: undefined, jobs: [] })
})

test('an answer says the same wherever it is cut', async () => {
  const answer = ready('OK', { ...HEAD, jobs: '1' }, jobBlock())
  agent = await ScriptedAgent.start(async (caller) => {
    await caller.request()
    for (const byte of answer) {
      caller.say(Buffer.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    caller.socket.end()
    await caller.lastWords()
  })

  await expect(agentStatus({ host: agent.host, port: agent.port })).resolves.toMatchObject({
    jobs: [{ sid: 'nightly' }],
  })
})

test('an answer that stops early is never taken', async () => {
  const answer = ready('OK', { ...HEAD, jobs: '1' }, jobBlock())
  const taken: number[] = []
  for (let length = 0; length < answer.length; length += 7) {
    const address = await answering(answer.subarray(0, length))
    await agentStatus(address).then(
      () => taken.push(length),
      (error: BackupError) => expect(error.code).toMatch(/^PROTOCOL_/),
    )
    await agent.close()
  }

  expect(taken).toEqual([])
})

test('cancel says how many there were', async () => {
  const address = await answering(ready('OK', { sid: 'nightly', cancelled: '2' }))

  await expect(cancelBackup('nightly', address)).resolves.toBe(2)

  expect(requests).toEqual(['0.77.0\n2\naction=cancel\nsid=nightly\n\n'])
})

describe('verdict', () => {
  test('tells how a backup ended', async () => {
    const address = await answering(ready('COMPLETE', VERDICT))

    await expect(backupVerdict('nightly', address)).resolves.toEqual({
      status: 'COMPLETE',
      msg: 'as asked',
      sid: 'nightly',
      job: '7f',
      outcome: 'delivered',
      percent: undefined,
      etaSeconds: undefined,
      bytes: 4096,
      sha256: VERDICT.sha256,
      entries: 3,
      coordinates: { binlogFile: 'bin.000007', binlogPosition: 2858, gtid: '0-1-16' },
      lsn: { to: '1568263' },
      code: undefined,
      started: VERDICT.started,
      ended: VERDICT.ended,
    })
  })

  test('that it failed is an answer', async () => {
    const address = await answering(ready('FAILED', { sid: 's', job: '1', outcome: 'failed', code: 'ENGINE_FAILED' }))

    await expect(backupVerdict('s', address)).resolves.toMatchObject({ status: 'FAILED', code: 'ENGINE_FAILED' })
  })

  test('that it runs is one too, unless somebody waits', async () => {
    const running = ready('RUNNING', { sid: 's', job: '1', bytes: '5', percent: '40' })
    const address = await answering(running, running, ready('COMPLETE', VERDICT))
    const seen: unknown[] = []

    const now = await backupVerdict('s', address)
    const then = await backupVerdict('s', { ...address, wait: true, onRunning: ({ percent }) => seen.push(percent) })

    expect([now.status, then.status, seen]).toEqual(['RUNNING', 'COMPLETE', [40]])
    expect(requests).toHaveLength(3)
  })

  test('is waited for until somebody stops it', async () => {
    const address = await answering(ready('RUNNING', { sid: 's', job: '1' }))
    const stop = new AbortController()

    const waiting = backupVerdict('s', { ...address, wait: true, signal: stop.signal, onRunning: () => stop.abort() })

    await expect(waiting).rejects.toMatchObject({ code: 'CLIENT_INTERRUPTED' })
  })
})

const no = (code: string, msg = 'no'): Buffer => writeStatus({ status: 'FAILED', msg }, [['code', code]])

test.each<[string, (options: AskOptions) => Promise<unknown>, Buffer, string, number]>([
  ['an agent that is too old to be pinged', pingAgent, TOO_NEW, 'CLIENT_REFUSED', 3],
  ['an agent that is too old for a status', agentStatus, TOO_NEW, 'CLIENT_REFUSED', 3],
  ['an agent that is too old to cancel', (o) => cancelBackup('s', o), TOO_NEW, 'CLIENT_REFUSED', 3],
  ['an agent that is too old for a verdict', (o) => backupVerdict('s', o), TOO_NEW, 'CLIENT_REFUSED', 3],
  ['a session that nobody knows', (o) => backupVerdict('s', o), no('JOB_UNKNOWN'), 'JOB_UNKNOWN', 3],
  ['a session that does not run', (o) => cancelBackup('s', o), no('JOB_UNKNOWN'), 'JOB_UNKNOWN', 3],
  ['another refusal', agentStatus, no('AGENT_ACTION_UNKNOWN'), 'CLIENT_REFUSED', 3],
  ['an answer without what was asked', pingAgent, ready('OK'), 'PROTOCOL_ANSWER_INVALID', 6],
  ['an answer of another status', pingAgent, ready('SENDING', IDENTITY), 'PROTOCOL_ANSWER_INVALID', 6],
  ['a number that is none', agentStatus, ready('OK', { ...HEAD, jobs: 'some' }), 'PROTOCOL_ANSWER_INVALID', 6],
  [
    'fewer jobs than announced',
    agentStatus,
    ready('OK', { ...HEAD, jobs: '2' }, jobBlock()),
    'PROTOCOL_ANSWER_INVALID',
    6,
  ],
  [
    'more jobs than announced',
    agentStatus,
    ready('OK', { ...HEAD, jobs: '0' }, jobBlock()),
    'PROTOCOL_ANSWER_INVALID',
    6,
  ],
  [
    'jobs without an end',
    agentStatus,
    ready('OK', { ...HEAD, jobs: '9' }, ...Array.from({ length: 300 }, () => jobBlock())),
    'PROTOCOL_ANSWER_INVALID',
    6,
  ],
  ['a second block where there is one', pingAgent, ready('OK', IDENTITY, jobBlock()), 'PROTOCOL_ANSWER_INVALID', 6],
  ['a verdict that is none', (o) => backupVerdict('s', o), ready('OK', VERDICT), 'PROTOCOL_ANSWER_INVALID', 6],
  ['something else than an agent', pingAgent, Buffer.from('HTTP/1.1 400 Bad Request\n'), 'PROTOCOL_ANSWER_INVALID', 6],
  ['nothing at all', pingAgent, Buffer.alloc(0), 'PROTOCOL_TRUNCATED', 6],
  ['half an answer', pingAgent, ready('OK', IDENTITY).subarray(0, -1), 'PROTOCOL_TRUNCATED', 6],
])('refuses %s', async (_, ask, answer, code, exitStatus) => {
  await expect(ask(await answering(answer))).rejects.toMatchObject({ code, exitStatus })
})

test.each<[string, (options: AskOptions) => Promise<unknown>, Buffer]>([
  ['before a byte', pingAgent, Buffer.alloc(0)],
  ['in its first line', agentStatus, Buffer.from('REA')],
  ['one byte before the end of its answer', (o) => backupVerdict('s', o), ready('OK', VERDICT).subarray(0, -1)],
])('takes a connection that is broken off %s for no answer, whatever was asked', async (_, ask, said) => {
  agent = await ScriptedAgent.start(async (caller) => {
    await caller.request()
    if (said.length === 0) caller.socket.resetAndDestroy()
    else caller.socket.write(said, () => caller.socket.resetAndDestroy())
  })

  const asked = ask({ host: agent.host, port: agent.port })

  // A reset that comes together with bytes may be told as an end.
  await expect(asked).rejects.toMatchObject({
    code: expect.stringMatching(said.length === 0 ? /^CLIENT_UNANSWERED$/ : /^(CLIENT_UNANSWERED|PROTOCOL_TRUNCATED)$/),
    exitStatus: 6,
  })
})

test('says what to do about an agent that is too old', async () => {
  const address = await answering(TOO_NEW)

  await expect(pingAgent(address)).rejects.toMatchObject({
    message: `the agent at ${address.host}:${address.port} is older than protocol 0.77 and cannot be asked this`,
    hint: expect.stringContaining('update the agent'),
  })
})

test('gives up when the agent says nothing', async () => {
  agent = await ScriptedAgent.start(async (caller) => {
    await caller.lastWords()
  })

  await expect(pingAgent({ host: agent.host, port: agent.port, silenceSeconds: 0.1 })).rejects.toMatchObject({
    code: 'CLIENT_SILENCE',
  })
})

test('asks nothing that is not one line', async () => {
  const address = await answering(ready('OK'))

  await expect(cancelBackup('a\naction=status', address)).rejects.toMatchObject({ code: 'PROTOCOL_CONTROL_BYTE' })

  expect(requests).toEqual([])
})
