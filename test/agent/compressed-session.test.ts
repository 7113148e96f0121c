/** Compressed backups as a deployed client gets them: the same words, with -d added, give the archive back. */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { createDecoder, type EncodingName, FrameReader } from '../../lib/encodings/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import { AnswerReader, type EndBlock, type KvBlock, KvBlockParser, readEnd } from '../../lib/protocol/index.ts'
import { converse, rawClient } from '../rig/raw-client.ts'

/** In the manner of deployed clients. */
const olderRequest = (words: string, ...pairs: string[]): string =>
  requestOf('0.76.1', [
    ...['action=copy from', 'backup-level=0', 'file=/srv/ZRM_LINKS/.', 'user=backupdb', 'password=s3cUre'],
    ...[`xtrabackup-agent:inline-compress=${words}`, ...pairs],
  ])
const request = (...pairs: string[]): string => requestOf('0.77.0', ['action=copy from', ...pairs])
const requestOf = (version: string, pairs: readonly string[]): string =>
  [version, pairs.length, ...pairs, '', ''].join('\n')

const FRAMED = 'agent-stream-encoding=application/x-framed-stream'

let scratch: string
let source: string
let agent: RunningAgent

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'compressed-'))
  source = join(scratch, 'source')
  mkdirSync(join(source, 'shop'), { recursive: true })
  writeFileSync(join(source, 'ibdata1'), randomBytes(2_500_000))
  writeFileSync(join(source, 'shop', 'orders.ibd'), Buffer.alloc(500_000, 'orders and '))
  writeFileSync(join(source, 'shop', 'empty.MYD'), '')
  agent = await startAgent({ port: 0, directory: source, stateDirectory: join(scratch, 'state') })
})
afterAll(async () => {
  await agent.stop()
  rmSync(scratch, { recursive: true })
})

const answerOf = (bytes: Buffer): { ready: boolean; block: KvBlock; rest: Buffer } => {
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error(`no answer in ${JSON.stringify(bytes.toString().slice(0, 200))}`)
  return answer
}

const decode = (encoding: EncodingName, wire: Buffer): Buffer => {
  const decoder = createDecoder(encoding)
  return Buffer.concat([...decoder.decode(wire), ...decoder.end()])
}

const MIME: Readonly<Record<EncodingName, string>> = {
  octet: 'application/octet-stream',
  base64: 'application/x-base64-stream',
  uuencode: 'application/x-uuencode-stream',
}

/** Runs the very words of the client, with -d added, as it does. */
const undone = (words: string, compressed: Buffer): { status: number | null; archive: Buffer } => {
  const [program = '', ...options] = words.split(' ')
  const { status, stdout } = spawnSync(program, [...options, '-d'], { input: compressed, maxBuffer: 1 << 30 })
  return { status, archive: stdout }
}

const untar = (archive: Buffer): string => {
  const directory = mkdtempSync(join(scratch, 'untar-'))
  execFileSync('tar', ['-xf', '-', '-C', directory], { input: archive })
  return directory
}

describe('a deployed client', () => {
  test.each<[string, EncodingName]>([
    ['/usr/bin/gzip -c', 'uuencode'],
    ['gzip -c -1', 'octet'],
    ['gzip -9c', 'base64'],
    ['pigz -p 2 -c', 'uuencode'],
    ['pigz -c', 'octet'],
    ['/usr/bin/zstd -T4 -3', 'octet'],
    ['zstd -c -9', 'base64'],
    ['lz4 -c', 'uuencode'],
    ['lz4 -c -9', 'octet'],
    ['xz -T2 -0', 'octet'],
    ['xz -c -0', 'uuencode'],
  ])('that sends "%s" undoes it by the same words, encoded as %s', async (words, encoding) => {
    const { bytes, ended } = await converse(agent.port, olderRequest(words, `agent-stream-encoding=${MIME[encoding]}`))

    const { ready, block, rest } = answerOf(bytes)
    const compressed = decode(encoding, rest)
    const { status, archive } = undone(words, compressed)
    expect(ready).toBe(true)
    expect(block.get('msg')).toContain('compressed with')
    expect(ended).toBe('fin')
    expect(status).toBe(0)
    expect(compressed.length).toBeLessThan(archive.length)
    execFileSync('diff', ['-r', source, untar(archive)])
  })

  test.each([['0.75.1'], ['0.76.1']])(
    'of %s is compressed for by its words alone: the name of 0.77 means nothing in its request',
    async (version) => {
      const asked = olderRequest('', 'agent-stream-compress=zstd', `agent-stream-encoding=${MIME.octet}`)
      const { bytes } = await converse(agent.port, asked.replace('0.76.1', version))

      execFileSync('diff', ['-r', source, untar(answerOf(bytes).rest)])
    },
  )

  test('whose level is higher gets fewer bytes', async () => {
    const sizes: number[] = []
    for (const words of ['gzip -c -1', 'gzip -c -9']) {
      const { bytes } = await converse(agent.port, olderRequest(words, `agent-stream-encoding=${MIME.octet}`))
      sizes.push(bytes.length)
    }

    expect(sizes[1]).toBeLessThan(sizes[0] ?? 0)
  })
})

interface Framed {
  readonly accepted: KvBlock
  readonly compressed: Buffer
  /** Or what was said in place of SENDING. */
  readonly end: EndBlock | Readonly<Record<string, string>>
}

const framed = async (...pairs: string[]): Promise<Framed> => {
  const { bytes } = await converse(agent.port, request(FRAMED, ...pairs), { halfClose: true })
  const first = answerOf(bytes)
  const sending = new KvBlockParser().push(first.rest)
  if (sending?.block.get('status') !== 'SENDING') {
    const end = Object.fromEntries(sending?.block ?? first.block)
    return { accepted: first.block, compressed: Buffer.alloc(0), end }
  }
  const data: Buffer[] = []
  let end: Buffer | undefined
  for (const event of new FrameReader().push(sending.rest)) {
    if (event.type === 'data') data.push(Buffer.from(event.bytes))
    if (event.type === 'end') end = Buffer.from(event.block)
  }
  if (end === undefined) throw new Error('no end frame')
  return { accepted: first.block, compressed: Buffer.concat(data), end: readEnd(end) }
}

describe('a client of 0.77', () => {
  test.each([
    ['agent-stream-compress=gzip', 'gzip', 'gzip -c'],
    ['agent-stream-compress=pigz:1', 'pigz:1', 'pigz -c'],
    ['agent-stream-compress=zstd:3', 'zstd:3', 'zstd -c'],
    ['agent-stream-compress=lz4', 'lz4', 'lz4 -c'],
    ['agent-stream-compress=xz:0', 'xz:0', 'xz -c'],
    ['xtrabackup-agent:inline-compress=/usr/bin/zstd -c -3 -T2', 'zstd:3', 'zstd -c'],
  ])('that says %s is told so, and the end frame speaks of the archive', async (pair, compression, words) => {
    const { accepted, compressed, end } = await framed(pair, `sid=${compression}`)

    const { status, archive } = undone(words, compressed)
    expect(accepted.get('compression')).toBe(compression)
    expect(status).toBe(0)
    expect(end).toMatchObject({
      status: 'COMPLETE',
      bytes: archive.length,
      sha256: createHash('sha256').update(archive).digest('hex'),
    })
    execFileSync('diff', ['-r', source, untar(archive)])
    const { jobs } = await readHistory(join(scratch, 'state'))
    expect(jobs.at(-1)).toMatchObject({
      state: 'sent-unconfirmed',
      bytes: archive.length,
      requested: { compression },
    })
  })

  test.each(['agent-stream-compress=none', 'agent-stream-compress='])(
    'that says %s gets the archive itself',
    async (pair) => {
      const { accepted, compressed } = await framed(pair)

      expect(accepted.get('compression')).toBe('none')
      execFileSync('diff', ['-r', source, untar(compressed)])
    },
  )
})

describe('is refused in place of READY:', () => {
  test.each([
    ['another program', olderRequest('bzip2 -c'), 'COMPRESS_REFUSED', '\\"bzip2\\"'],
    ['a shell behind it', olderRequest('gzip -c;id'), 'COMPRESS_REFUSED', '\\"-c;id\\"'],
    ['an option that runs a program', olderRequest('zstd -I/tmp/x'), 'COMPRESS_REFUSED', '\\"-I/tmp/x\\"'],
    ['another name', request('agent-stream-compress=brotli'), 'COMPRESS_REFUSED', '\\"brotli\\"'],
    ['a level there is not', request('agent-stream-compress=zstd:22'), 'COMPRESS_REFUSED', '\\"22\\"'],
    [
      'two that differ',
      request('agent-stream-compress=zstd:3', 'xtrabackup-agent:inline-compress=gzip -c'),
      'PROTOCOL_VALUE_INVALID',
      'gzip',
    ],
  ])('%s', async (_, asked, code, found) => {
    const { bytes, ended } = await converse(agent.port, asked)

    const { ready, block, rest } = answerOf(bytes)
    expect(ready).toBe(false)
    expect(block.get('code')).toBe(code)
    expect(JSON.stringify(block.get('msg'))).toContain(found)
    expect(rest).toHaveLength(0)
    expect(ended).toBe('fin')
  })

  test.each(['gzip', 'pigz', 'zstd', 'lz4', 'xz'])(
    '%s where it is not installed, with the package that has it',
    async (name) => {
      const { bytes, ended } = await withPath([], () => converse(agent.port, request(`agent-stream-compress=${name}`)))

      const { ready, block } = answerOf(bytes)
      expect(ready).toBe(false)
      expect(block.get('code')).toBe('COMPRESS_NOT_FOUND')
      expect(block.get('msg')).toContain(`apt-get install ${name === 'xz' ? 'xz-utils' : name}`)
      expect(ended).toBe('fin')
    },
  )
})

/** Where the agent of this process looks for programs: these directories of stand-ins alone, and what they are made of. */
const withPath = async <Result>(directories: readonly string[], work: () => Promise<Result>): Promise<Result> => {
  const before = process.env['PATH']
  const nothing = mkdtempSync(join(scratch, 'no-programs-'))
  process.env['PATH'] = [...directories, nothing].join(':')
  try {
    return await work()
  } finally {
    process.env['PATH'] = before
  }
}

/** A program that is called gzip and does something else. */
const standIn = (script: string): string => {
  const directory = mkdtempSync(join(scratch, 'stand-in-'))
  writeFileSync(join(directory, 'gzip'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(directory, 'gzip'), 0o755)
  return directory
}

const plain = (): string => olderRequest('gzip -c', `agent-stream-encoding=${MIME.octet}`)

describe('a compressor that fails is no backup:', () => {
  const FAILURES = [
    [
      'exits with 1 when it has written everything',
      '/usr/bin/gzip -c; echo "gzip: the disk is on fire" >&2; exit 1',
      'the disk is on fire',
    ],
    ['is killed at its end', '/usr/bin/gzip -c; kill -KILL $$', 'SIGKILL'],
    ['exits with 0 before it has everything', '/usr/bin/head -c 100000 | /usr/bin/gzip -c; exit 0', 'before it had'],
    ['exits with 1 at once', 'exit 1', 'exited with 1'],
    ['is killed at once', 'kill -KILL $$', 'SIGKILL'],
  ] as const

  test.each(FAILURES)('one that %s, in a plain stream', async (_, script, words) => {
    const directory = standIn(script)

    const { bytes, ended } = await withPath([directory], () => converse(agent.port, plain()))

    const { ready, block, rest } = answerOf(bytes)
    if (ready) {
      expect(ended).toBe('reset')
      expect(undone('gzip -c', rest).status).not.toBe(0)
    } else {
      expect(block.get('code')).toBe('COMPRESS_FAILED')
      expect(block.get('msg')).toContain(words)
    }
  })

  test.each(FAILURES)('one that %s, in a framed stream', async (_, script, words) => {
    const directory = standIn(script)

    const { end } = await withPath([directory], () => framed('agent-stream-compress=gzip'))

    expect(end).toMatchObject({ status: 'FAILED', code: 'COMPRESS_FAILED', msg: expect.stringContaining(words) })
    expect((await readHistory(join(scratch, 'state'))).jobs.at(-1)).toMatchObject({
      state: 'failed',
      code: 'COMPRESS_FAILED',
    })
  })
})

test('gets no environment but a search path and a language: what an agent carries changes no compressor', async () => {
  const directory = standIn('/usr/bin/env > "$(/usr/bin/dirname "$0")/environment"; exec /usr/bin/gzip "$@"')
  process.env['GZIP'] = '-9'
  process.env['LD_PRELOAD'] = ''

  await withPath([directory], () => converse(agent.port, plain()))
  delete process.env['GZIP']
  delete process.env['LD_PRELOAD']

  const names = execFileSync('/bin/cat', [join(directory, 'environment')], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.split('=')[0])
  expect(names).toContain('PATH')
  expect(names).not.toContain('GZIP')
  expect(names).not.toContain('LD_PRELOAD')
})

test('a client that goes away takes the compressor along', async () => {
  const directory = standIn('echo $$ > "$(/usr/bin/dirname "$0")/pid"; exec /usr/bin/gzip -1 -c')
  const big = join(scratch, 'big')
  mkdirSync(big)
  writeFileSync(join(big, 'ibdata1'), randomBytes(64 * 1024 * 1024))
  const bigAgent = await startAgent({ port: 0, directory: big })
  try {
    await withPath([directory], async () => {
      const client = await rawClient(bigAgent.port)
      client.socket.write(plain())
      await client.hasReceived(100)
      client.socket.resetAndDestroy()
    })

    await bigAgent.stop()

    const pid = Number(execFileSync('/bin/cat', [join(directory, 'pid')], { encoding: 'utf8' }))
    expect(() => process.kill(pid, 0)).toThrow(expect.objectContaining({ code: 'ESRCH' }))
  } finally {
    await bigAgent.stop()
  }
})
