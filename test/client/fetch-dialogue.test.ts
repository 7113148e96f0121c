import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'

import { type FetchOptions, type FetchProgress, fetchBackup, type Receipt } from '../../lib/client/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { readReceipt, writeStatus } from '../../lib/protocol/index.ts'
import {
  accepted,
  type Caller,
  framed,
  progressFrame,
  ScriptedAgent,
  type Script,
  SENDING,
  SESSION,
  sha256,
  SMALL_ARCHIVE,
  TOO_NEW,
} from './scripted-agent.ts'

let directory: string
let out: string
let agent: ScriptedAgent

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fetch-'))
  out = join(directory, 'backup.tar')
})
afterEach(async () => {
  await agent.close()
  rmSync(directory, { recursive: true })
})

const play = async (...scripts: readonly [Script, ...Script[]]): Promise<void> => {
  agent = await ScriptedAgent.start(...scripts)
}

const fetchIt = (options: Partial<FetchOptions> = {}): Promise<Receipt> =>
  fetchBackup({ host: agent.host, port: agent.port, target: { file: out }, ...options }).receipt

/** Into memory: no disk is waited for. */
const fetchInto = async (options: Partial<FetchOptions> = {}): Promise<Buffer> => {
  const pieces: Buffer[] = []
  const stream = new Writable({
    write: (bytes: Buffer, _, done) => {
      pieces.push(Buffer.from(bytes))
      done()
    },
  })
  await fetchIt({ target: { stream }, ...options })
  return Buffer.concat(pieces)
}

const failureOf = async (receipt: Promise<unknown>): Promise<BackupError> => {
  try {
    await receipt
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('expected a failure, the fetch succeeded')
}

const keysOf = (request: string): string[] =>
  request
    .split('\n')
    .slice(2, -2)
    .map((line) => line.slice(0, line.indexOf('=')))

describe('a framed fetch from an agent of 0.77', () => {
  test('asks for a framed tar, keeps it, and tells the agent what it has', async () => {
    let request = ''
    let answer = ''
    await play(async (caller) => {
      request = await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
      answer = await caller.lastWords()
      caller.socket.end()
    })

    const receipt = await fetchIt({ user: 'backup', password: 's3cUre', sid: 'nightly' })

    expect(request.split('\n').slice(0, 2)).toEqual(['0.77.0', '6'])
    expect(keysOf(request)).toEqual([
      ...['action', 'user', 'password', 'sid', 'agent-stream-encoding', 'agent-stream-format'],
    ])
    expect(request).toContain('agent-stream-encoding=application/x-framed-stream\nagent-stream-format=tar\n')
    expect(readReceipt(Buffer.from(answer))).toEqual({
      status: 'RECEIVED',
      sid: 'nightly',
      bytes: SMALL_ARCHIVE.length,
      sha256: sha256(SMALL_ARCHIVE),
    })
    expect(readFileSync(out).equals(SMALL_ARCHIVE)).toBe(true)
    expect(receipt).toEqual({
      receipt: 1,
      status: 'COMPLETE',
      proof: 'agent-verdict',
      sid: 'nightly',
      agent: 'kv-backup-agent/0.1.0',
      protocol: '0.77.0',
      format: 'tar',
      encoding: 'framed',
      bytes: SMALL_ARCHIVE.length,
      sha256: sha256(SMALL_ARCHIVE),
      entries: 1,
      files: 1,
      engine: 'mariadb-backup',
      engineVersion: '10.11.19',
      coordinates: {},
      lsn: {},
      paddedFiles: 0,
      paddedBytes: 0,
      finishedAt: expect.any(String),
      seconds: expect.any(Number),
    })
    expect(new Date(receipt.finishedAt).toISOString()).toBe(receipt.finishedAt)
  })

  test('says that it has the backup only when the file has its name', async () => {
    let wasThere: boolean | undefined
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
      caller.socket.once('data', () => {
        wasThere = existsSync(out) && existsSync(`${out}.receipt`)
      })
      await caller.lastWords()
      caller.socket.end()
    })

    await fetchIt()

    expect(wasThere).toBe(true)
  })

  test('does not wait for an agent that goes without a word when it was told', async () => {
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
      await caller.lastWords()
      caller.socket.resetAndDestroy()
    })

    await expect(fetchIt()).resolves.toMatchObject({ proof: 'agent-verdict' })
  })

  test('does not call kept what went into a stream: only its reader knows', async () => {
    let answer = ''
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
      answer = await caller.lastWords()
      caller.socket.end()
    })

    await fetchInto()
    await agent.close()

    expect(readReceipt(Buffer.from(answer))).toEqual({
      status: 'PASSED',
      sid: 'nightly',
      bytes: SMALL_ARCHIVE.length,
      sha256: sha256(SMALL_ARCHIVE),
    })
  })

  test('answers an agent that has closed its half already', async () => {
    let answer = ''
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
      caller.socket.end()
      answer = await caller.lastWords()
    })

    await fetchIt()
    await agent.close()

    expect(readReceipt(Buffer.from(answer))).toMatchObject({ status: 'RECEIVED' })
  })

  test('is complete although the connection broke before the agent could be told', async () => {
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
      while (!existsSync(out)) await new Promise((resolve) => setImmediate(resolve))
      caller.socket.resetAndDestroy()
    })

    await expect(fetchIt()).resolves.toMatchObject({ proof: 'agent-verdict' })
  })

  test('tells what is going on: who does it, what is awaited, how far it is', async () => {
    const seen: FetchProgress[] = []
    const next = { preparing: () => undefined, receiving: () => undefined } as Record<string, () => void>
    const preparing = new Promise<void>((resolve) => (next['preparing'] = resolve))
    const receiving = new Promise<void>((resolve) => (next['receiving'] = resolve))
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted())
      await preparing
      caller.say(SENDING, progressFrame(12))
      await receiving
      caller.say(framed(SMALL_ARCHIVE))
      await caller.lastWords()
      caller.socket.end()
    })

    const fetch = fetchBackup({ host: agent.host, port: agent.port, target: { file: out } })
    for await (const progress of fetch) {
      seen.push(progress)
      if (progress.stage === 'preparing' || progress.backup !== undefined) next[progress.stage]?.()
    }
    await fetch.receipt

    expect(seen.find(({ stage }) => stage === 'preparing')).toMatchObject({
      sid: 'nightly',
      session: SESSION,
      bytes: 0,
      msg: undefined,
    })
    expect(seen.find(({ backup }) => backup?.percent === 12)).toMatchObject({
      stage: 'receiving',
      session: SESSION,
      msg: 'here it comes',
      backup: { percent: 12, eta: 7, files: 1, stage: 'copying' },
    })
  })

  test('leaves nothing of whatever is cut, at any byte, by an agent that closes in order', async () => {
    const whole = Buffer.concat([accepted(), SENDING, framed(SMALL_ARCHIVE, {}, 1024)])
    let cut = 0
    await play(async (caller) => {
      const length = cut // the one that is being tried
      await caller.request()
      caller.say(whole.subarray(0, length))
      caller.socket.end()
      await caller.lastWords()
    })

    const taken: number[] = []
    const codes = new Map<string, number>()
    for (cut = 0; cut < whole.length; cut += 1) {
      const code = await fetchInto().then(
        () => 'taken',
        (error: BackupError) => error.code,
      )
      if (code === 'taken') taken.push(cut)
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }

    expect(taken).toEqual([])
    expect(Object.fromEntries(codes)).toEqual({
      PROTOCOL_TRUNCATED: accepted().length + SENDING.length - 1,
      CLIENT_CUT: 1, // between the block that accepts and the next
      FRAME_TRUNCATED: framed(SMALL_ARCHIVE, {}, 1024).length,
    })
  })

  test('leaves nothing of what is reset, before, in and behind every frame', async () => {
    const head = Buffer.concat([accepted(), SENDING])
    const whole = Buffer.concat([head, framed(SMALL_ARCHIVE, {}, 1024)])
    let cut = 0
    await play(async (caller) => {
      const length = cut
      await caller.request()
      caller.socket.write(whole.subarray(0, length), () => caller.socket.resetAndDestroy())
      await caller.lastWords()
    })

    const codes = new Set<string>()
    for (cut = 1; cut < whole.length; cut += 97) codes.add((await failureOf(fetchInto())).code)

    const expected = ['CLIENT_UNANSWERED', 'CLIENT_CUT', 'FRAME_TRUNCATED', 'PROTOCOL_TRUNCATED']
    for (const code of codes) expect(expected).toContain(code)
  })

  test('takes it byte by byte too', async () => {
    await play(async (caller) => {
      await caller.request()
      for (const byte of Buffer.concat([accepted(), SENDING, framed(SMALL_ARCHIVE)])) {
        caller.say(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await caller.lastWords()
      caller.socket.end()
    })

    expect((await fetchInto()).equals(SMALL_ARCHIVE)).toBe(true)
  })

  const failedBlock = writeStatus({ status: 'FAILED', msg: 'the login was refused', sid: 'nightly' }, [
    ['code', 'ENGINE_LOGIN'],
  ])

  test.each<[string, (Buffer | string)[], string, number]>([
    ['a backup that fails before its first byte', [accepted(), failedBlock], 'CLIENT_BACKUP_FAILED', 4],
    [
      'an agent that sends without having accepted',
      ['READY\n', SENDING, framed(SMALL_ARCHIVE)],
      'PROTOCOL_ANSWER_INVALID',
      6,
    ],
    [
      'an agent that has nothing to send',
      ['READY\n', writeStatus({ status: 'OK', msg: 'nothing' })],
      'CLIENT_NO_STREAM',
      3,
    ],
    [
      'an agent that accepts and then has nothing',
      [accepted(), writeStatus({ status: 'OK', msg: 'no' })],
      'CLIENT_NO_STREAM',
      3,
    ],
    [
      'another encoding than was asked for',
      [accepted({ encoding: 'application/octet-stream' }), SENDING],
      'PROTOCOL_ANSWER_INVALID',
      6,
    ],
    ['another format than was asked for', [accepted({ format: 'xbstream' }), SENDING], 'PROTOCOL_ANSWER_INVALID', 6],
    ['a compressed stream', [accepted({ compression: 'gzip' }), SENDING], 'PROTOCOL_ANSWER_INVALID', 6],
    ['a refusal', [writeStatus({ status: 'FAILED', msg: 'busy' }, [['code', 'JOB_BUSY']])], 'CLIENT_REFUSED', 3],
    [
      'an end of something else',
      [accepted(), SENDING, framed(SMALL_ARCHIVE, { sha256: sha256(Buffer.of(1)) })],
      'CLIENT_MISMATCH',
      5,
    ],
    ['another number of members', [accepted(), SENDING, framed(SMALL_ARCHIVE, { entries: 2 })], 'CLIENT_MISMATCH', 5],
    [
      'an archive that is not whole, whatever the agent says',
      [accepted(), SENDING, framed(SMALL_ARCHIVE.subarray(0, 2048), { entries: 1 })],
      'ARCHIVE_TRUNCATED',
      5,
    ],
    ['bytes behind the end', [accepted(), SENDING, framed(SMALL_ARCHIVE), 'x'], 'FRAME_CORRUPT', 5],
  ])('leaves nothing of %s', async (_, pieces, code, exitStatus) => {
    await play(async (caller) => {
      await caller.request()
      caller.say(...pieces)
      await caller.lastWords()
      caller.socket.end()
    })

    const error = await failureOf(fetchIt({ silenceSeconds: 5 }))

    expect({ code: error.code, exitStatus: error.exitStatus }).toEqual({ code, exitStatus })
    expect(readdirSync(directory)).toEqual([])
  })

  test('hands on the agent’s name of the failure', async () => {
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), failedBlock)
      caller.socket.end()
      await caller.lastWords()
    })

    const error = await failureOf(fetchIt())

    expect(error.message).toBe('the backup failed on the database host: the login was refused')
    expect(error.facts).toMatchObject({ agentCode: 'ENGINE_LOGIN' })
  })

  test.each<[string, Buffer, RegExp]>([
    ['it is not what the agent has sent', framed(SMALL_ARCHIVE, { bytes: 1 }), /^expected 1 bytes of archive, found/],
    ['it is not whole by itself', framed(SMALL_ARCHIVE.subarray(0, 2048)), /archive/],
  ])('tells the agent that it could not keep the backup, when %s', async (_, stream, reason) => {
    let answer = ''
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, stream)
      answer = await caller.lastWords()
      caller.socket.end()
    })

    await failureOf(fetchIt())

    expect(readReceipt(Buffer.from(answer))).toEqual({ status: 'FAILED', msg: expect.stringMatching(reason) })
  })

  test('tells the agent that it could not keep the backup, when its own name is taken meanwhile', async () => {
    let answer = ''
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING)
      writeFileSync(out, 'faster')
      caller.say(framed(SMALL_ARCHIVE))
      answer = await caller.lastWords()
      caller.socket.end()
    })

    const error = await failureOf(fetchIt())

    expect(error.code).toBe('CLIENT_TARGET')
    expect(readReceipt(Buffer.from(answer))).toMatchObject({ status: 'FAILED' })
    expect(readdirSync(directory)).toEqual(['backup.tar'])
    expect(readFileSync(out, 'utf8')).toBe('faster')
  })

  test('says nothing to the agent when it gives up before the end', async () => {
    let answer: string | undefined
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE).subarray(0, 1000))
      answer = await caller.lastWords()
    })
    const stream = new Writable({ write: (_, __, done) => done(Object.assign(new Error('full'), { code: 'ENOSPC' })) })

    const error = await failureOf(fetchIt({ target: { stream } }))

    expect(error).toMatchObject({ code: 'CLIENT_WRITE', facts: { errno: 'ENOSPC' } })
    await agent.close()
    expect(answer).toBe('')
  })

  test('ends at once when it is told to, while it waits for the first bytes', async () => {
    const stop = new AbortController()
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted())
      stop.abort()
      await caller.lastWords()
    })

    const error = await failureOf(fetchIt({ signal: stop.signal }))

    expect(error.code).toBe('CLIENT_INTERRUPTED')
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('silence', () => {
  test.each<[string, Partial<FetchOptions>, Buffer[], number]>([
    ['before the agent answers', {}, [], 600],
    ['while the backup program starts', {}, [accepted()], 600],
    ['in a framed stream', {}, [accepted(), SENDING, progressFrame(1)], 60],
    ['in a plain stream', { encoding: 'octet' }, [accepted({ encoding: 'application/octet-stream' }), SENDING], 600],
    ['in a plain stream of 0.76', { protocol: '0.76' }, [Buffer.from('READY\n'), SENDING], 600],
  ])('%s may last so long and no longer', async (_, options, pieces, seconds) => {
    await play(async (caller) => {
      await caller.request()
      caller.say(...pieces)
      await caller.lastWords()
    })
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'performance'] })
    try {
      let ended = false
      const receipt = failureOf(fetchInto(options)).finally(() => {
        ended = true
      })
      await delay(250) // of the real clock: everything that is sent has been read then

      jest.advanceTimersByTime(seconds * 1000 - 1)
      await delay(20)
      const early = ended
      jest.advanceTimersByTime(1)

      expect(await receipt).toMatchObject({ code: 'CLIENT_SILENCE', facts: { silenceMs: seconds * 1000 } })
      expect(early).toBe(false)
    } finally {
      jest.useRealTimers()
    }
  })

  test('is bounded for the whole dialogue by one number, when there is one', async () => {
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING)
      await caller.lastWords()
    })

    const error = await failureOf(fetchIt({ silenceSeconds: 0.2 }))

    expect(error).toMatchObject({ code: 'CLIENT_SILENCE', facts: { silenceMs: 200 } })
  })

  test('of our own disk is not the agent’s', async () => {
    const stream = new PassThrough({ highWaterMark: 1 }) // takes the first bytes, and the next when it is read
    await play(async (caller) => {
      await caller.request()
      caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE).subarray(0, 2000))
      await delay(50)
      caller.say(framed(SMALL_ARCHIVE).subarray(2000))
      await caller.lastWords()
      caller.socket.end()
    })

    const receipt = fetchIt({ target: { stream }, silenceSeconds: 0.3 })
    await delay(600) // the disk is slow for twice as long as the agent may be
    stream.resume()

    await expect(receipt).resolves.toMatchObject({ status: 'COMPLETE' })
  })
})

describe('an agent that does not know 0.77', () => {
  const refuse: Script = async (caller) => {
    await caller.request()
    caller.say(TOO_NEW)
    caller.socket.end()
    await caller.lastWords()
  }
  const requests: string[] = []
  const serve: Script = async (caller: Caller) => {
    requests.push(await caller.request())
    caller.say('READY\n', SENDING, SMALL_ARCHIVE)
    caller.socket.end()
    await caller.lastWords()
  }
  beforeEach(() => {
    requests.length = 0
  })

  test('is asked again as a client of 0.76, for a plain stream', async () => {
    await play(refuse, serve)

    const receipt = await fetchIt({ sid: 'nightly' })

    expect(agent.connections).toBe(2)
    expect(requests[0]).toMatch(/^0\.76\.1\n6\n/)
    expect(requests[0]).toContain(
      'file=backup/ZRM_LINKS/.\nsid=nightly\nagent-stream-encoding=application/octet-stream\n',
    )
    expect(requests[0]).not.toContain('agent-stream-format')
    expect(receipt).toMatchObject({
      proof: 'archive',
      protocol: '0.76.1',
      encoding: 'octet',
      agent: 'kv-backup-agent/0.1.0',
      engine: 'directory',
      engineVersion: '1',
      paddedFiles: undefined,
    })
    expect(readdirSync(directory)).toEqual(['backup.tar', 'backup.tar.receipt'])
    expect(JSON.parse(readFileSync(`${out}.receipt`, 'utf8'))).toMatchObject({ proof: 'archive' })
  })

  test('is asked for the encoding that was named', async () => {
    await play(refuse, async (caller) => {
      requests.push(await caller.request())
      caller.socket.end()
      await caller.lastWords()
    })

    await failureOf(fetchIt({ encoding: 'base64' }))

    expect(requests[0]).toContain('agent-stream-encoding=application/x-base64-stream\n')
  })

  test('is asked so at once when told to', async () => {
    await play(serve)

    await expect(fetchIt({ protocol: '0.76' })).resolves.toMatchObject({ proof: 'archive', protocol: '0.76.1' })

    expect(agent.connections).toBe(1)
  })

  test.each<[string, Partial<FetchOptions>, string]>([
    ['a verdict', { requireVerdict: true }, 'CLIENT_NO_VERDICT'],
    ['an xbstream', { format: 'xbstream' }, 'CLIENT_REFUSED'],
  ])('is not asked again for %s', async (_, options, code) => {
    await play(refuse, serve)

    const error = await failureOf(fetchIt(options))

    expect(error).toMatchObject({ code, exitStatus: 3 })
    expect(agent.connections).toBe(1)
    expect(readdirSync(directory)).toEqual([])
  })

  test('is told from one that refuses for another reason', async () => {
    await play(async (caller) => {
      await caller.request()
      caller.say(writeStatus({ status: 'FAILED', msg: 'busy: Incompatible client version' }))
      caller.socket.end()
      await caller.lastWords()
    }, serve)

    expect((await failureOf(fetchIt())).code).toBe('CLIENT_REFUSED')
    expect(agent.connections).toBe(1)
  })
})

describe('a plain encoding', () => {
  test('is asked for in the manner of 0.77, and proven by the archive itself', async () => {
    let request = ''
    await play(async (caller) => {
      request = await caller.request()
      caller.say(accepted({ encoding: 'application/octet-stream' }), SENDING, SMALL_ARCHIVE)
      caller.socket.end()
      await caller.lastWords()
    })

    const receipt = await fetchIt({ encoding: 'octet' })

    expect(request).toContain('0.77.0\n')
    expect(receipt).toMatchObject({ proof: 'archive', protocol: '0.77.0', encoding: 'octet', engine: 'mariadb-backup' })
  })
})

describe('what cannot be had together is refused before anybody is asked', () => {
  test.each<[string, Partial<FetchOptions>, string]>([
    ['a framed stream of 0.76', { encoding: 'framed', protocol: '0.76' }, 'CLI_USAGE'],
    ['an xbstream of 0.76', { format: 'xbstream', protocol: '0.76' }, 'CLI_USAGE'],
    ['an xbstream in octets', { format: 'xbstream', encoding: 'octet' }, 'CLI_USAGE'],
    ['a verdict of 0.76', { requireVerdict: true, protocol: '0.76' }, 'CLIENT_NO_VERDICT'],
    ['a verdict in octets', { requireVerdict: true, encoding: 'octet' }, 'CLIENT_NO_VERDICT'],
  ])('%s', async (_, options, code) => {
    await play(() => undefined)

    expect((await failureOf(fetchIt(options))).code).toBe(code)
    expect(agent.connections).toBe(0)
    expect(readdirSync(directory)).toEqual([])
  })

  test('an unpacked xbstream, with the way to unpack it', async () => {
    await play(() => undefined)

    const error = await failureOf(fetchIt({ format: 'xbstream', target: { directory: join(directory, 'd') } }))

    expect(error.code).toBe('CLI_USAGE')
    expect(error.hint).toContain(`mbstream -x -C ${join(directory, 'd')} < FILE`)
  })
})

test('bytes that come behind the end while the backup is made durable are refused before it has its name', async () => {
  await play(async (caller) => {
    await caller.request()
    caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE))
    // The client has read the end when everything before it is on its disk.
    while (statSync(`${out}.part`).size < SMALL_ARCHIVE.length) await new Promise((resolve) => setImmediate(resolve))
    caller.say('x')
    await caller.lastWords()
    caller.socket.end()
  })

  const error = await failureOf(fetchIt())

  expect(error).toMatchObject({ code: 'FRAME_CORRUPT', facts: { bytes: 1 } })
  expect(readdirSync(directory)).toEqual([])
})
