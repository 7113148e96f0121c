import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals'

import { type ArchiveEntry, filesToTar } from '../../lib/archive/index.ts'
import {
  type Pieces,
  parseRequestSession,
  parseSession,
  recordSession,
  replaySession,
  writeSession,
} from '../../lib/client/index.ts'
import { blockFrame, dataFrames } from '../../lib/encodings/index.ts'
import { type CompleteBlock, type EndBlock, writeEnd, writeKvBlock, writeProgress } from '../../lib/protocol/index.ts'

const MAGIC = '# kv-backup-agent wire session 1\n'
const text = (...lines: string[]): string => MAGIC + lines.map((line) => `${line}\n`).join('')
const session = (...lines: string[]) => parseSession(text(...lines), 'some.session')

// What an agent sends: an archive of one file, and the frames around it.

const ENTRY: ArchiveEntry = {
  ...{ path: 'a', type: 'file', sizeBytes: 600, mode: 0o640, mtimeMs: 0, uid: 0, gid: 0 },
  body: () => Readable.from([Buffer.alloc(600, 'a')]),
}
const MARK = { product: 'stand-in/1', engine: 'directory', engineVersion: '1', entries: 1, bytes: 600 } as const

let ARCHIVE: Buffer
let COMPLETE: CompleteBlock
beforeAll(async () => {
  const pieces: Buffer[] = []
  const options = { mark: MARK, beforeEnd: () => Promise.resolve() }
  for await (const piece of filesToTar(Readable.from([ENTRY]), options)) pieces.push(Buffer.from(piece))
  ARCHIVE = Buffer.concat(pieces)
  COMPLETE = {
    ...{ status: 'COMPLETE', msg: 'done', sid: 'run-8', bytes: ARCHIVE.length, entries: 1 },
    sha256: createHash('sha256').update(ARCHIVE).digest('hex'),
    ...{ coordinates: {}, lsn: {}, paddedFiles: 0, paddedBytes: 0 },
    ...{ engine: 'directory', engineVersion: '1', engineExit: 0 },
  }
})

const PROGRESS = blockFrame('progress', writeProgress({ bytes: 0, sent: 0, files: 0, stage: 'connecting' }))
const ANSWER = 'READY\n1\nstatus=ACCEPTED\n\n2\nstatus=SENDING\nsid=run-8\n\n'
const framed = (end: EndBlock | undefined, archive = ARCHIVE, first = PROGRESS): Buffer =>
  Buffer.concat([
    first,
    ...dataFrames(archive),
    PROGRESS,
    ...(end === undefined ? [] : [blockFrame('end', writeEnd(end))]),
  ])

let server: Server | undefined
afterEach(() => {
  server?.close()
  server = undefined
})

interface Peer {
  readonly host: string
  readonly port: number
  /** Everything behind the request. */
  heard(): string
}

/** Answers the first line of a request with these bytes; closes at once, or when a receipt has come. */
const peer = async (answer: Buffer, waitsForReceipt = false, lastWords = ''): Promise<Peer> => {
  let heard = ''
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    let isAsked = false
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
      if (!isAsked && heard.includes('\n')) {
        isAsked = true
        heard = heard.slice(heard.indexOf('\n') + 1)
        socket.write(answer)
        if (!waitsForReceipt) socket.end()
      }
      if (isAsked && heard.endsWith('\n\n')) socket.end(lastWords)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, heard: () => heard }
}

const HEAD = [
  '> go\\n',
  '< READY\\n',
  '< 1\\n',
  '< status=ACCEPTED\\n',
  '< \\n',
  '< 2\\n',
  '< status=SENDING\\n',
  '< sid={sid}\\n',
  '< \\n',
]
const STREAM = '<stream encoding=framed frames=PDE archive=whole engine=directory members=1'
const END = [
  ...['11', 'status=COMPLETE', 'msg=done', 'sid={sid}', 'bytes={bytes}', 'sha256={sha256}', 'entries=1'],
  ...['padded-files=0', 'padded-bytes=0', 'engine=directory', 'engine-version=1', 'engine-exit=0', ''],
].map((line) => `<end ${line}\\n`)
const RECEIPT = [
  '>receipt',
  '> status=RECEIVED\\n',
  '> sid={sid}\\n',
  '> bytes={bytes}\\n',
  '> sha256={sha256}\\n',
  '> \\n',
]
const sending = (frames: Buffer, waits = false): Promise<Peer> =>
  peer(Buffer.concat([Buffer.from(ANSWER), frames]), waits)

describe('a session file about frames', () => {
  const FULL = text(...HEAD, STREAM, '<member file a 600', ...END, ...RECEIPT, '>cut', '>half-close', '<fin')

  test('is read, and written again it is the same text', () => {
    expect(writeSession(parseSession(FULL))).toBe(FULL)
  })

  test('holds the whole of what a client says, also without the rest', () => {
    const { steps } = parseRequestSession(text('> go\\n', ...RECEIPT))

    expect(steps.map(({ kind }) => kind)).toEqual(['send', 'receipt', 'send', 'send', 'send', 'send', 'send'])
  })

  test('cut at any byte is never taken for a whole one', () => {
    for (let cutAt = 0; cutAt < FULL.length; cutAt += 1) {
      expect(() => parseSession(FULL.slice(0, cutAt))).toThrow(
        expect.objectContaining({ code: 'SESSION_FILE_INVALID' }),
      )
    }
  })

  const OCTETS = '<stream encoding=octet archive=whole'
  test.each([
    ['frames in another encoding', [`${OCTETS} frames=PDE`, '<fin'], 2, /no frames in a stream of octet/],
    ['frames of no kind', ['<stream encoding=framed archive=cut frames=', '<fin'], 2, /cannot be ""/],
    ['frames in another order', ['<stream encoding=framed archive=cut frames=DP', '<fin'], 2, /cannot be "DP"/],
    ['an end frame in another encoding', [OCTETS, '<end 0\\n', '<fin'], 3, /only a stream in frames has/],
    ['an end frame before the stream', ['<end 0\\n', STREAM, '<fin'], 2, /expected <stream before <end/],
    ['a line of an end frame without its newline', [STREAM, '<end 0', '<fin'], 3, /\\n at the end of a line/],
    ['two lines of an end frame in one', [STREAM, '<end 0\\n\\n', '<fin'], 3, /one \\n/],
    ['nothing of an end frame', [STREAM, '<end', '<fin'], 3, /expected bytes/],
    ['a receipt in another encoding', [OCTETS, '>receipt', '<fin'], 3, /only a stream in frames is answered/],
    ['a receipt without a stream', ['> a\\n', '>receipt', '> b\\n', '<fin'], 3, /expected <stream before >receipt/],
    ['a stream behind the receipt', ['>receipt', '> a\\n', STREAM, '<fin'], 4, /expected <stream before >receipt/],
    ['two receipts', [STREAM, '>receipt', '>receipt', '<fin'], 4, /expected one >receipt/],
    ['something behind >receipt', [STREAM, '>receipt 4', '<fin'], 3, /nothing after >receipt/],
    ['a receipt of a client that closed its half', ['>half-close', '>receipt', '<fin'], 3, /closed its half/],
    ['an answer behind the receipt', [STREAM, '>receipt', '< a\\n', '<fin'], 4, /after a stream/],
    [
      'a password in a receipt',
      [STREAM, '>receipt', '> {password}\\n', '<fin'],
      4,
      /only \{sid\}, \{bytes\}, \{sha256\}/,
    ],
    ['a count in a request', ['> bytes={bytes}\\n', '<fin'], 2, /cannot send \{bytes\}/],
    ['a digest before the stream', ['< sha256={sha256}\\n', '<fin'], 2, /behind a stream only/],
  ])('is refused, with the line, for %s', (_, lines, line, problem) => {
    const read = () => session(...lines)

    expect(read).toThrow(expect.objectContaining({ code: 'SESSION_FILE_INVALID', facts: { line } }))
    expect(read).toThrow(problem)
  })
})

describe('a replay of frames', () => {
  test.each<[string, Pieces]>([
    ['as recorded', 'recorded'],
    ['in one piece', 'whole'],
    ['one byte at a time', 'bytes'],
    ['cut in the receipt', { cutAt: 40 }],
  ])('says the receipt with what was counted, %s', async (_, pieces) => {
    const agent = await sending(framed(COMPLETE), true)

    const { stream } = await replaySession(session(...HEAD, STREAM, ...END, ...RECEIPT, '<fin'), { ...agent, pieces })

    const { bytes, sha256 } = COMPLETE
    expect(agent.heard()).toBe(`status=RECEIVED\nsid=run-8\nbytes=${bytes}\nsha256=${sha256}\n\n`)
    expect(stream).toMatchObject({ archive: 'whole', frames: 'PDE', bytes, sha256 })
  })

  test('takes an archive that was not finished, when the end frame says so', async () => {
    const failed: EndBlock = { status: 'FAILED', msg: 'no', sid: 'run-8', code: 'ENGINE_FAILED', bytes: 512 }
    const agent = await sending(framed(failed, ARCHIVE.subarray(0, 512)))

    const { stream } = await replaySession(
      session(...HEAD, '<stream encoding=framed frames=PDE archive=cut', '<fin'),
      agent,
    )

    expect(stream?.endLines.map(String)).toContain('code=ENGINE_FAILED\n')
  })

  const OTHER = 'f'.repeat(64)
  test.each<[string, () => Buffer, string[], number, string | RegExp]>([
    ['no progress first', () => framed(COMPLETE, ARCHIVE, Buffer.alloc(0)), [], 11, 'frames=DE'],
    ['no end frame', () => framed(undefined), [], 11, 'archive=cut'],
    ['no data', () => framed({ ...FAILED, msg: '' }, Buffer.alloc(0)), [], 11, 'archive=cut'],
    ['an archive that is cut, called complete', () => framed(COMPLETE, ARCHIVE.subarray(0, 1000)), [], 11, /stops/],
    ['bytes behind the end', () => Buffer.concat([framed(COMPLETE), PROGRESS]), [], 11, /behind the end frame/],
    ['no frame', () => Buffer.from('X'), [], 11, /type D, P or E/],
    ['a block that cannot be', () => blockFrame('progress', writeKvBlock([])), [], 11, /expected the key bytes/],
    ['another count', () => framed({ ...COMPLETE, bytes: 1 }), END, 16, '"bytes=1\\n"'],
    ['another digest', () => framed({ ...COMPLETE, sha256: OTHER }), END, 17, `"sha256=${OTHER}\\n"`],
    ['another sid', () => framed({ ...COMPLETE, sid: 'run-9' }), END, 15, '"sid=run-9\\n"'],
    ['other words', () => framed({ ...COMPLETE, msg: 'fine' }), END, 14, '"msg=fine\\n"'],
    ['more lines', () => framed({ ...COMPLETE, lsn: { to: '7' } }), END, 12, '"12\\n"'],
    ['one line more than expected', () => framed(COMPLETE), END.slice(0, -1), 11, 'one more, "\\n"'],
    ['one line less', () => framed(COMPLETE), [...END, '<end more\\n'], 25, 'no more lines'],
  ])('says the first difference: %s', async (_, frames, end, line, found) => {
    const agent = await sending(frames())

    const replay = replaySession(session(...HEAD, STREAM, ...end, '<fin'), agent)

    await expect(replay).rejects.toMatchObject({ code: 'SESSION_DIFFERS', facts: { line } })
    await expect(replay).rejects.toMatchObject({
      facts: { found: typeof found === 'string' ? found : expect.stringMatching(found) },
    })
  })

  const FAILED: EndBlock = { status: 'FAILED', msg: 'no', sid: 'run-8', code: 'ENGINE_FAILED', bytes: 0 }
})

describe('a recording of frames', () => {
  const REQUEST = ['> go\\n', '> sid=\\n', '> agent-stream-encoding=application/x-framed-stream\\n']
  const record = (lines: string[], agent: Peer) => recordSession(parseRequestSession(text(...lines)), agent)

  test('keeps kinds and archive and the end frame, says the receipt, and can be replayed', async () => {
    const agent = await sending(framed(COMPLETE), true)

    const recorded = writeSession(await record([...REQUEST, ...RECEIPT], agent))

    expect(recorded).toBe(
      text(
        '# recorded by backup-client 0.1.0',
        '# answered by stand-in/1, engine directory 1',
        ...REQUEST,
        ...HEAD.slice(1),
        `${STREAM} bytes=${ARCHIVE.length}`,
        '<member file a 600',
        ...END,
        ...RECEIPT,
        '<fin',
      ),
    )
    expect(agent.heard()).toContain(`sha256=${COMPLETE.sha256}\n\n`)
    server?.close()
    await replaySession(parseSession(recorded), await sending(framed(COMPLETE), true))
  })

  test('of a failed backup keeps neither how far it came nor when it was', async () => {
    const failed: EndBlock = { status: 'FAILED', msg: 'no', sid: 'run-8', code: 'ENGINE_FAILED', bytes: 99 }
    const agent = await sending(framed(failed, ARCHIVE.subarray(0, 700)))

    const recorded = writeSession(await record(REQUEST, agent))

    expect(recorded).toContain('<stream encoding=framed frames=PDE archive=cut\n<end 5\\n\n<end status=FAILED\\n\n')
    expect(recorded).toContain('<end bytes={text}\\n\n')
    expect(recorded).not.toContain('99')
  })

  test('of a session that fails before its stream keeps both blocks', async () => {
    const agent = await peer(
      Buffer.from('READY\n2\nstatus=ACCEPTED\nagent=x/1.2.3\n\n2\nstatus=FAILED\nmsg=no 4.5.6\n\n'),
    )

    const recorded = writeSession(await record(REQUEST, agent))

    expect(recorded).toContain('< agent=x/{version}\\n\n')
    expect(recorded).toContain('< status=FAILED\\n\n< msg=no {version}\\n\n< \\n\n<fin\n')
  })

  test('of an answer in blocks keeps what is the same at every moment', async () => {
    const agent = await peer(
      Buffer.from('READY\n4\nstatus=OK\nprotocol=0.77.0\nuptime=17\njobs=1\n\n3\njob=6f2b\nbytes=99\nformat=tar\n\n'),
    )

    const recorded = writeSession(await record(REQUEST, agent))

    expect(recorded).toContain('< protocol=0.77.0\\n\n< uptime={text}\\n\n< jobs=1\\n\n< \\n\n')
    expect(recorded).toContain('< 3\\n\n< job={text}\\n\n< bytes={text}\\n\n< format=tar\\n\n< \\n\n<fin\n')
  })

  test('of a stream that says more behind its end is none', async () => {
    const agent = await sending(Buffer.concat([framed(COMPLETE), PROGRESS]))

    await expect(record(REQUEST, agent)).rejects.toMatchObject({ code: 'FRAME_CORRUPT' })
  })

  test('of an agent that goes on when it has the receipt is none', async () => {
    const agent = await peer(Buffer.concat([Buffer.from(ANSWER), framed(COMPLETE)]), true, 'thanks')

    await expect(record([...REQUEST, ...RECEIPT], agent)).rejects.toMatchObject({ code: 'FRAME_CORRUPT' })
  })
})
