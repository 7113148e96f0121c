import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'

import { encodeMark, commentHeader } from '../../lib/archive/index.ts'
import {
  parseRequestSession,
  parseSession,
  recordSession,
  replaySession,
  writeSession,
} from '../../lib/client/index.ts'
import { createEncoder, type EncodingName } from '../../lib/encodings/index.ts'

const session = (...lines: string[]) =>
  parseSession(`# kv-backup-agent wire session 1\n${lines.map((line) => `${line}\n`).join('')}`, 'some.session')

let server: Server | undefined
afterEach(async () => {
  server?.close()
  server = undefined
})

/** A peer that answers whatever it is told to, so that every difference can be had. */
const peer = async (serve: (socket: Socket) => void): Promise<{ host: string; port: number }> => {
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    serve(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

/** Says its answer as soon as a newline came, and ends. */
const saying = (answer: string | Buffer, end: 'fin' | 'reset' = 'fin') =>
  peer((socket) => {
    let asked = ''
    socket.on('data', (chunk: Buffer) => {
      asked += chunk.toString('latin1')
      if (!asked.endsWith('\n')) return
      if (end === 'fin') socket.end(answer)
      else socket.write(answer, () => setImmediate(() => socket.resetAndDestroy()))
    })
    socket.on('end', () => socket.end())
  })

describe('the first difference is said, with line, expected and found:', () => {
  const ASKED = ['> hello\\n', '< READY\\n', '< status=SENDING\\n', '<fin']

  test.each([
    ['another line', 'READY\nstatus=FAILED\nmsg=no\n', 4, '"status=SENDING\\n"', '"status=FAILED\\n"', /msg=no/],
    ['a block in place of READY', '1\nmsg=busy\n\n', 3, '"READY\\n"', '"1\\n"', /"msg=busy\\n" "\\n"/],
    ['an end too early', 'READY\n', 4, '"status=SENDING\\n"', '<fin', undefined],
    ['a line cut by the end', 'READY\nstat', 4, '"status=SENDING\\n"', '"stat"', undefined],
    ['bytes where an end should be', 'READY\nstatus=SENDING\nx', 5, '<fin', '"x"', undefined],
    ['bytes that are not printable', 'READY\x00\n', 3, '"READY\\n"', '"READY\\x00\\n"', undefined],
  ])('%s', async (_, answer, line, expected, found, hint) => {
    const address = await saying(answer)

    const replay = replaySession(session(...ASKED), address)

    await expect(replay).rejects.toMatchObject({ code: 'SESSION_DIFFERS', facts: { line, expected, found } })
    await expect(replay).rejects.toThrow(`some.session, line ${line}: expected ${expected}, found ${found}`)
    if (hint !== undefined) await expect(replay).rejects.toMatchObject({ hint: expect.stringMatching(hint) })
  })

  test.each([
    ['a reset where a clean end should be', 'reset', 'fin'],
    ['a clean end where a reset should be', 'fin', 'reset'],
  ] as const)('%s', async (_, does, wanted) => {
    const address = await saying('READY\n', does)

    const replay = replaySession(session('> hello\\n', '< READY\\n', `<${wanted}`), address)

    await expect(replay).rejects.toMatchObject({
      code: 'SESSION_DIFFERS',
      facts: { line: 4, expected: `<${wanted}`, found: `<${does}` },
    })
  })

  test('silence', async () => {
    const address = await peer(() => undefined)

    const replay = replaySession(session('> hello\\n', '< READY\\n', '<fin'), { ...address, silenceSeconds: 0.05 })

    await expect(replay).rejects.toMatchObject({ code: 'SESSION_DIFFERS', facts: { line: 3, expected: '"READY\\n"' } })
    await expect(replay).rejects.toThrow(/found nothing/)
  })

  test('never with the password in it', async () => {
    const address = await saying('you said p4ss\u00e9!\nand p4ss\u00e9 again\n')

    const error = await replaySession(session('> password={password}\\n', '< READY\\n', '<fin'), {
      ...address,
      password: 'p4ss\u00e9',
    }).catch((caught: unknown) => caught as Error & { facts: object; hint: string })

    expect(JSON.stringify([(error as Error).message, error])).not.toMatch(/p4ss/)
    expect(error).toMatchObject({ message: expect.stringContaining('"you said {password}!\\n"') })
  })
})

describe('other ends of a replay', () => {
  test('a session that needs a password is not begun without one', async () => {
    const replay = replaySession(session('> password={password}\\n', '<fin'), { host: '127.0.0.1', port: 1 })

    await expect(replay).rejects.toMatchObject({ code: 'SESSION_FILE_INVALID', facts: { line: 2 } })
  })

  test('a file that is not there', async () => {
    const replay = replaySession('/nowhere/a.session', { host: '127.0.0.1', port: 1 })

    await expect(replay).rejects.toMatchObject({ code: 'CLI_FILE' })
  })

  test('an agent that is not there', async () => {
    const address = await peer(() => undefined)
    server?.close()

    await expect(replaySession(session('<fin'), address)).rejects.toMatchObject({ code: 'CLIENT_CONNECT' })
  })

  test('an abort, which is no difference', async () => {
    const controller = new AbortController()
    const address = await peer(() => controller.abort())

    const replay = replaySession(session('> a\\n', '< b\\n', '<fin'), { ...address, signal: controller.signal })

    await expect(replay).rejects.toMatchObject({ code: 'CLIENT_INTERRUPTED' })
  })
})

test('an agent that refuses before it has heard everything is heard, and told the rest all the same', async () => {
  let heardBytes = 0
  let closed: Promise<unknown> = Promise.resolve()
  const address = await peer((socket) => {
    closed = once(socket, 'close')
    socket.once('data', () => socket.end('no\n'))
    socket.on('data', (chunk) => {
      heardBytes += chunk.length
    })
    socket.on('end', () => socket.destroy())
  })
  const request = Array.from({ length: 200 }, (_, index) => `> key${index + 100}=${'v'.repeat(100)}\\n`)

  const { answerLines, sentBytes } = await replaySession(session(...request, '< no\\n', '<fin'), {
    ...address,
    pieces: { cutAt: 1 },
  })
  await closed

  expect(answerLines).toBe(1)
  expect([sentBytes, heardBytes]).toEqual([200 * 108, 200 * 108])
})

describe('the client half is cut', () => {
  const REQUEST = session('> ab', '>cut', '> cd\\n', '< ok\\n', '<fin')

  /** Answers every piece it gets before the next one is sent: so pieces cannot melt together unseen. */
  const pieces = async (how: Parameters<typeof replaySession>[1]['pieces']): Promise<string[]> => {
    const got: string[] = []
    const address = await peer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        got.push(chunk.toString())
        if (chunk.includes(10)) socket.end('ok\n')
      })
    })
    await replaySession(REQUEST, { ...address, pieces: how })
    return got
  }

  test.each([
    ['as recorded', 'recorded', ['ab', 'cd\n']],
    ['nowhere', 'whole', ['abcd\n']],
    ['everywhere', 'bytes', ['a', 'b', 'c', 'd', '\n']],
    ['at one byte', { cutAt: 3 }, ['abc', 'd\n']],
  ] as const)('%s', async (_, how, expected) => {
    expect(await pieces(how)).toEqual(expected)
  })
})

// Streams, made by hand: a mark, one member, the end.

const tarHeader = (path: string, sizeBytes: number): Buffer => {
  const block = Buffer.alloc(512)
  block.write(path)
  block.write('0000640', 100)
  block.write('0000000', 108)
  block.write('0000000', 116)
  block.write(sizeBytes.toString(8).padStart(11, '0'), 124)
  block.write('00000000000', 136)
  block.write('        0', 148)
  block.write('ustar', 257)
  block.write('00', 263)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\x00 `, 148)
  return block
}
const MARK = commentHeader(
  encodeMark({ product: 'stand-in/1', engine: 'directory', engineVersion: '1', entries: 1, bytes: 600 }),
)
const MEMBER = Buffer.concat([tarHeader('a', 600), Buffer.alloc(1024, 'a')])
const ARCHIVE = Buffer.concat([MARK, MEMBER, Buffer.alloc(1024)])

const dressed = (name: EncodingName, archive: Buffer, blockBytes?: number): Buffer => {
  const encoder = createEncoder(name, { blockBytes })
  return Buffer.concat([...encoder.encode(archive), ...encoder.end()].map(({ wire }) => wire))
}
const streaming = (name: EncodingName, archive: Buffer, end: 'fin' | 'reset' = 'fin', blockBytes?: number) =>
  saying(Buffer.concat([Buffer.from('READY\n'), dressed(name, archive, blockBytes)]), end)

const expecting = (stream: string, ...more: string[]) => session('> a\\n', '< READY\\n', `<stream ${stream}`, ...more)

describe('a stream is as expected:', () => {
  test.each<[EncodingName]>([['octet'], ['base64'], ['uuencode']])('whole, %s', async (name) => {
    const address = await streaming(name, ARCHIVE)

    const { stream } = await replaySession(
      expecting(
        `encoding=${name} archive=whole engine=directory members=1 bytes=${ARCHIVE.length}`,
        '<member file a 600',
        '<fin',
      ),
      address,
    )

    expect(stream).toMatchObject({ archive: 'whole', bytes: ARCHIVE.length })
  })

  test('cut inside the member', async () => {
    const address = await streaming('octet', ARCHIVE.subarray(0, -1100), 'reset')

    await replaySession(expecting('encoding=octet archive=cut', '<reset'), address)
  })

  test('cut by a reset that comes together with the last bytes, which looks like a clean end to a socket', async () => {
    const begun = Buffer.concat([Buffer.from('READY\n'), MARK, tarHeader('a', 900_000), Buffer.alloc(200_000)])
    const address = await peer((socket) => {
      socket.once('data', () => {
        socket.write(begun)
        socket.resetAndDestroy()
      })
    })

    // How close together they come is chance: about one time in four close enough.
    for (let round = 0; round < 60; round += 1) {
      await replaySession(expecting('encoding=octet archive=cut', '<reset'), address)
    }
  })

  test('cut before its first byte', async () => {
    const address = await streaming('octet', Buffer.alloc(0), 'reset')

    await replaySession(expecting('encoding=octet archive=cut', '<reset'), address)
  })
})

describe('a stream differs:', () => {
  const HEAD = MARK.length + 512
  const WHOLE = 'encoding=octet archive=whole'

  test.each([
    [
      'cut where tar takes it for whole',
      'encoding=octet archive=cut',
      ARCHIVE.subarray(0, -1024),
      /takes it for whole/,
    ],
    ['cut behind a header', 'encoding=octet archive=cut', ARCHIVE.subarray(0, HEAD - 1), /takes it for whole/],
    [
      'whole where it should be cut',
      'encoding=octet archive=cut',
      ARCHIVE,
      /expected archive=cut, found archive=whole/,
    ],
    ['cut where it should be whole', WHOLE, ARCHIVE.subarray(0, HEAD + 5), /expected archive=whole, found archive=cut/],
    ['another encoding', 'encoding=base64 archive=whole', ARCHIVE, /expected a stream encoded as base64/],
    ['another engine', `${WHOLE} engine=mariadb-backup`, ARCHIVE, /engine=mariadb-backup, found engine=directory/],
    ['another number of members', `${WHOLE} members=2`, ARCHIVE, /members=2, found members=1/],
    ['another size', `${WHOLE} bytes=1`, ARCHIVE, /bytes=1, found bytes=/],
    ['another digest', `${WHOLE} sha256=${'0'.repeat(64)}`, ARCHIVE, /sha256=0{64}, found sha256=/],
    ['bytes behind its end', WHOLE, Buffer.concat([ARCHIVE, Buffer.from('x')]), /found .*after the end/],
  ])('%s', async (_, stream, archive, problem) => {
    const address = await streaming('octet', archive)

    const replay = replaySession(expecting(stream, '<fin'), address)

    await expect(replay).rejects.toMatchObject({ code: 'SESSION_DIFFERS', facts: { line: 4 } })
    await expect(replay).rejects.toThrow(problem)
  })

  test.each([
    ['the name of a member', ['<member file b 600'], 5, /file "b" of 600 bytes, found file "a" of 600 bytes/],
    ['the size of a member', ['<member file a 601'], 5, /file "a" of 601 bytes, found file "a" of 600 bytes/],
    ['the type of a member', ['<member directory a'], 5, /directory "a", found file "a"/],
    ['a member too few', ['<member file a *', '<member file b *'], 6, /file "b", found no more members/],
  ])('%s', async (_, members, line, problem) => {
    const address = await streaming('octet', ARCHIVE)

    const replay = replaySession(expecting(WHOLE, ...members, '<fin'), address)

    await expect(replay).rejects.toMatchObject({ code: 'SESSION_DIFFERS', facts: { line } })
    await expect(replay).rejects.toThrow(problem)
  })

  test.each([
    ['bigger', 4096, 57],
    ['smaller', 4096, 10_240],
  ])('frames %s than the block size that was asked for', async (_, blockBytes, asked) => {
    const address = await streaming('uuencode', Buffer.concat([MARK, MEMBER, Buffer.alloc(20_480)]), 'fin', blockBytes)

    const replay = replaySession(expecting(`encoding=uuencode block-size=${asked} archive=whole`, '<fin'), address)

    await expect(replay).rejects.toThrow(/expected frames of/)
  })
})

describe('a recording', () => {
  const REQUEST = `# kv-backup-agent wire session 1
# what it shows
# recorded by backup-client 0.0.1: long ago
> 0.76.1\\n
>cut
> 1\\n
> password={password}\\n
> \\n
>half-close
< an old answer\\n
<fin
`
  const record = (request: string, address: { host: string; port: number }, options = {}) =>
    recordSession(parseRequestSession(request), { ...address, password: 'p4ss', ...options })

  /** Answers when the client has closed its half: these requests end so. */
  const afterHalfClose = (answer: string | Buffer) =>
    peer((socket) => {
      socket.resume()
      socket.on('end', () => socket.end(answer))
    })

  test('keeps the client half, replaces the old header and answer, and puts placeholders', async () => {
    const address = await afterHalfClose('3\nstatus=FAILED\nmsg=no p4ss in /here/now\nsid=8f2a\n\n')

    const recorded = writeSession(await record(REQUEST, address, { hide: ['/here/now'], command: 'the command' }))

    expect(recorded).toBe(`# kv-backup-agent wire session 1
# what it shows
# recorded by backup-client 0.1.0: the command
> 0.76.1\\n
>cut
> 1\\n
> password={password}\\n
> \\n
>half-close
< 3\\n
< status=FAILED\\n
< msg=no {password} in {text}\\n
< sid={sid}\\n
< \\n
<fin
`)
    await replaySession(parseSession(recorded), { ...address, password: 'p4ss' })
  })

  test('keeps what must hold of a stream, not its bytes, and who made it', async () => {
    const answer = 'READY\n2\nstatus=SENDING\nmsg=by x 10.11.19-MariaDB\n\n'
    const address = await afterHalfClose(Buffer.concat([Buffer.from(answer), dressed('uuencode', ARCHIVE)]))

    const text = writeSession(await record(REQUEST, address))

    expect(text).toContain('# answered by stand-in/1, engine directory 1\n')
    expect(text).toContain('< msg=by x {version}\\n\n')
    expect(text).toContain(
      `<stream encoding=uuencode archive=whole engine=directory members=1 bytes=${ARCHIVE.length}\n<member file a 600\n<fin\n`,
    )
  })

  test('keeps whatever a peer says that speaks another protocol', async () => {
    const address = await afterHalfClose('HTTP/1.1 400 Bad Request\r\n\r\nbye')

    const text = writeSession(await record(REQUEST, address))

    expect(text).toContain('< HTTP/1.1 400 Bad Request\\r\\n\n< \\r\\n\n< bye\n<fin\n')
  })

  test('keeps a digest when asked for one', async () => {
    const answer = Buffer.concat([Buffer.from('READY\n1\nstatus=SENDING\n\n'), dressed('uuencode', ARCHIVE)])
    const address = await afterHalfClose(answer)

    expect(writeSession(await record(REQUEST, address, { digest: true }))).toMatch(/ sha256=[0-9a-f]{64}\n/)
  })

  test('of a stream that ends where tar takes it for whole is none', async () => {
    const answer = Buffer.concat([
      Buffer.from('READY\n1\nstatus=SENDING\n\n'),
      dressed('uuencode', ARCHIVE.subarray(0, -1024)),
    ])
    const address = await afterHalfClose(answer)

    await expect(record(REQUEST, address)).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' })
  })

  test('needs a client that says something', async () => {
    const nothing = '# kv-backup-agent wire session 1\n# nothing\n'

    await expect(record(nothing, { host: '127.0.0.1', port: 1 })).rejects.toMatchObject({
      code: 'SESSION_FILE_INVALID',
    })
  })
})
