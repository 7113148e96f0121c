/**
 * The real `backup-client` against an agent, and against files, that want to harm the machine it runs on.
 *
 * Every archive comes twice: framed from a stand-in of an agent, into `fetch --extract`, and as a file into `restore`.
 * Whatever is in it, nothing is left behind, nothing around the target is made or changed, and what is said can be shown.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { readTree } from '../archive/file-trees.ts'
import { archive, END, header, long, member, METADATA, metadataMembers, mark, pax } from '../archive/tar-forge.ts'
import { CLIENT_PROGRAM as CLIENT } from '../rig/agent-process.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import {
  accepted,
  endFrame,
  framed,
  progressFrame,
  ScriptedAgent,
  SENDING,
  SMALL_ARCHIVE,
  TOO_NEW,
} from './scripted-agent.ts'

/** A terminal would obey the first two; the others turn the direction of writing. */
const UNSAFE_TO_SHOW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

let home: string
let agent: ScriptedAgent | undefined

/** The target is `home/inside/target`: the names of the archives climb one and two directories up, to the sentinels. */
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hostile-'))
  mkdirSync(join(home, 'inside'))
  for (const path of ['evil', 'inside/evil', 'inside/sentinel']) writeFileSync(join(home, path), 'as it was')
})
afterEach(async () => {
  await agent?.close()
  agent = undefined
  rmSync(home, { recursive: true })
})

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const client = async (...args: readonly string[]): Promise<Ended> => {
  const child = spawn(process.execPath, [CLIENT, ...args], { env: plainEnvironment(), cwd: join(home, 'inside') })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
    })
  }
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, ...said }
}

const serve = async (...stream: readonly (Buffer | string)[]): Promise<string> => {
  agent = await ScriptedAgent.start(async (caller) => {
    await caller.request()
    caller.say(...stream)
    caller.socket.end()
    await caller.lastWords()
  })
  return `${agent.host}:${agent.port}`
}

const fetchIt = async (...stream: readonly (Buffer | string)[]): Promise<Ended> =>
  client('fetch', await serve(...stream), '--extract', 'target')

const serveArchive = (bytes: Buffer, entries: number): Promise<Ended> =>
  fetchIt(accepted(), SENDING, framed(bytes, { entries }, 50_000))

const restoreIt = async (bytes: Buffer): Promise<Ended> => {
  const file = join(home, 'backup.tar')
  writeFileSync(file, bytes)
  const ended = await client('restore', file, '--target', 'restored')
  rmSync(file)
  return ended
}

const evil = (name: string): Buffer => member({ name }, 'evil')
/** With everything that a backup must have, so that only what is hostile can be a reason to refuse it. */
const hostile = (...members: readonly Buffer[]): Buffer => archive(mark(), ...metadataMembers(), ...members)

const binary = (hex: string): Buffer => Buffer.from(hex, 'hex')

describe('an archive', () => {
  test.each<[string, Buffer, string]>([
    ['a name that climbs', hostile(evil('../evil')), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs in its middle', hostile(evil('a/../../../evil')), 'ARCHIVE_PATH_UNSAFE'],
    ['an absolute name', hostile(evil('/tmp/kv-hostile-evil')), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs in a pax header', hostile(pax([['path', '../evil']]), evil('good')), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs in a long name', hostile(long('L', '../evil'), evil('good')), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs in a prefix', hostile(member({ name: 'evil', prefix: '..' }, 'evil')), 'ARCHIVE_PATH_UNSAFE'],
    ['a directory that climbs', hostile(member({ name: '../dir/', typeflag: '5' })), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that moves the cursor', hostile(evil('\u001b[2J\u001b]0;evil\u0007')), 'ARCHIVE_PATH_UNSAFE'],
    ['a name of another reading', hostile(evil('a\\..\\..\\evil')), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a name two thousand directories deep',
      hostile(pax([['path', `${'d/'.repeat(2000)}f`]]), evil('f')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    [
      'a symbolic link, and a file through it',
      hostile(member({ name: 'l', typeflag: '2', linkName: '..' }), evil('l/evil')),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    ['a hard link', hostile(member({ name: 'l', typeflag: '1', linkName: '../evil' })), 'ARCHIVE_MEMBER_REFUSED'],
    [
      'a link in a pax header',
      hostile(pax([['linkpath', '/etc/passwd']]), member({ name: 'l', typeflag: '2' })),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    ['a device', hostile(member({ name: 'sda', typeflag: '4' })), 'ARCHIVE_MEMBER_REFUSED'],
    ['a FIFO', hostile(member({ name: 'fifo', typeflag: '6' })), 'ARCHIVE_MEMBER_REFUSED'],
    ['a sparse file', hostile(member({ name: 's', typeflag: 'S' }, 'x')), 'ARCHIVE_MEMBER_REFUSED'],
    [
      'a sparse file in a pax header',
      hostile(pax([['GNU.sparse.realsize', '9999999999']]), evil('s')),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    ['a file twice', hostile(evil('a'), evil('./a')), 'ARCHIVE_DUPLICATE'],
    ['metadata twice', hostile(evil('xtrabackup_info')), 'ARCHIVE_DUPLICATE'],
    ['a file below a file', hostile(evil('a'), evil('a/b')), 'ARCHIVE_DUPLICATE'],
    ['a file in place of a directory', hostile(evil('a/b'), evil('a')), 'ARCHIVE_DUPLICATE'],
    [
      'a size beyond numbers',
      hostile(header({ name: 'a', size: binary('800000000020000000000000') })),
      'ARCHIVE_LIMIT',
    ],
    ['a size below zero', hostile(header({ name: 'a', size: binary('ffffffffffffffffffffffff') })), 'ARCHIVE_CORRUPT'],
    ['eight gigabytes that never come', hostile(header({ name: 'a', size: 0o77777777777 })), 'ARCHIVE_TRUNCATED'],
    ['a wrong checksum', hostile(member({ name: 'a', checksumOff: 1 }, 'x')), 'ARCHIVE_CORRUPT'],
    ['a pax header of a gigabyte', hostile(header({ name: 'p', typeflag: 'x', size: 2 ** 30 })), 'ARCHIVE_LIMIT'],
    ['a long name of two megabytes', hostile(long('L', 'n'.repeat(2 ** 21)), evil('a')), 'ARCHIVE_LIMIT'],
    [
      'pax headers without end',
      hostile(...Array.from({ length: 50 }, () => pax([['path', 'a']])), evil('a')),
      'ARCHIVE_CORRUPT',
    ],
    ['a pax header for all members', hostile(pax([['path', 'a']], 'g'), evil('b')), 'ARCHIVE_CORRUPT'],
    ['a second archive behind it', Buffer.concat([hostile(), hostile()]), 'ARCHIVE_TRAILING_BYTES'],
    ['two megabytes of zeros behind it', Buffer.concat([hostile(), Buffer.alloc(2 ** 21)]), 'ARCHIVE_TRAILING_BYTES'],
    ['no end', Buffer.concat([mark(), ...metadataMembers()]), 'ARCHIVE_TRUNCATED'],
    ['no metadata', archive(mark(), evil('a')), 'ARCHIVE_METADATA_MISSING'],
  ])('with %s leaves nothing behind, fetched or restored', async (_, bytes, code) => {
    const around = readTree(home)

    const ended = await Promise.all([serveArchive(bytes, 7), restoreIt(bytes)])

    for (const { status, stderr, stdout } of ended) {
      expect(stderr).toContain(`[${code}]`)
      expect(status).toBe(5)
      expect(stdout).toBe('')
      expect(stderr).not.toMatch(UNSAFE_TO_SHOW)
    }
    expect(readTree(home)).toEqual(around)
  })

  test('with names that differ in case alone keeps both files, and drops special permissions', async () => {
    const members = [member({ name: 'Shop/T.ibd', mode: 0o4777 }, 'large'), member({ name: 'shop/t.ibd' }, 'small')]

    const { status, stderr } = await serveArchive(hostile(...members), 7)

    expect(stderr).toBe('')
    expect(status).toBe(0)
    const target = join(home, 'inside', 'target')
    expect(readFileSync(join(target, 'Shop/T.ibd'), 'utf8')).toBe('large')
    expect(readFileSync(join(target, 'shop/t.ibd'), 'utf8')).toBe('small')
    expect(statSync(join(target, 'Shop/T.ibd')).mode & 0o7000).toBe(0)
  })

  test('whose metadata would move the cursor is shown without that', async () => {
    const info = 'tool_name = mariadb-backup\u001b[2J\ntool_version = 1\u009b2J\u202e\n'
    const binlog = 'mybin\u001b]0;evil\u0007\t542\t0-1-7\u001b[1m\n'
    const texts: Record<string, string> = { ...METADATA, xtrabackup_info: info, xtrabackup_binlog_info: binlog }
    const bytes = archive(...Object.entries(texts).map(([name, text]) => member({ name }, text)))
    const file = join(home, 'backup.tar')
    writeFileSync(file, bytes)

    const ended = [await serveArchive(bytes, 5), await client('verify', file)]

    for (const { status, stdout, stderr } of ended) {
      expect([status, stderr]).toEqual([0, ''])
      expect(stdout).toContain('mybin')
      expect(stdout).not.toMatch(UNSAFE_TO_SHOW)
    }
  })
})

const frame = (type: string, bytes: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const start = Buffer.alloc(5)
  start.write(type, 'latin1')
  start.writeUInt32BE(bytes, 1)
  return Buffer.concat([start, payload])
}

describe('an agent', () => {
  const good = framed(SMALL_ARCHIVE)
  const withoutEnd = good.subarray(0, good.length - endFrame(SMALL_ARCHIVE).length)

  test.each<[string, readonly (Buffer | string)[], string]>([
    ['sends a frame of more than a megabyte', [accepted(), SENDING, frame('D', 2 ** 20 + 1)], 'FRAME_CORRUPT'],
    ['sends a frame of four gigabytes', [accepted(), SENDING, frame('D', 2 ** 32 - 1)], 'FRAME_CORRUPT'],
    ['sends an empty frame', [accepted(), SENDING, frame('D', 0)], 'FRAME_CORRUPT'],
    ['sends progress beyond a block', [accepted(), SENDING, frame('P', 65_537)], 'FRAME_CORRUPT'],
    [
      'sends progress that is none',
      [accepted(), SENDING, frame('P', 4, Buffer.from('0\n\n\n'))],
      'PROTOCOL_TRAILING_BYTES',
    ],
    ['sends a frame of another kind', [accepted(), SENDING, frame('X', 1)], 'FRAME_CORRUPT'],
    ['ends twice', [accepted(), SENDING, good, endFrame(SMALL_ARCHIVE)], 'FRAME_CORRUPT'],
    ['goes on behind its end', [accepted(), SENDING, good, 'x'], 'FRAME_CORRUPT'],
    ['does not end', [accepted(), SENDING, withoutEnd], 'FRAME_TRUNCATED'],
    [
      'claims another digest',
      [accepted(), SENDING, framed(SMALL_ARCHIVE, { sha256: '0'.repeat(64) })],
      'CLIENT_MISMATCH',
    ],
    ['claims other bytes', [accepted(), SENDING, framed(SMALL_ARCHIVE, { bytes: 1 })], 'CLIENT_MISMATCH'],
    ['claims other members', [accepted(), SENDING, framed(SMALL_ARCHIVE, { entries: 2 })], 'CLIENT_MISMATCH'],
    [
      'claims success before the archive is whole',
      [accepted(), SENDING, framed(SMALL_ARCHIVE.subarray(0, -1024))],
      'ARCHIVE_TRUNCATED',
    ],
    ['promises a thousand million pairs', ['READY\n', '1000000000\n'], 'PROTOCOL_COUNT_TOO_LARGE'],
    ['never ends its first line', ['READY'.padEnd(100_000, 'x')], 'PROTOCOL_ANSWER_INVALID'],
    ['never ends a line', ['READY\n1\n', 'a='.padEnd(100_000, 'x')], 'PROTOCOL_LINE_TOO_LONG'],
    [
      'answers in another encoding than was asked for',
      [accepted({ encoding: 'application/octet-stream' })],
      'PROTOCOL_ANSWER_INVALID',
    ],
    ['moves the cursor', ['\u001b[2J\u009b2J\n'], 'PROTOCOL_ANSWER_INVALID'],
    ['refuses with words that move the cursor', ['1\nmsg=\u001b[2J\n\n'], 'PROTOCOL_CONTROL_BYTE'],
  ])('that %s is given up, and nothing is left behind', async (_, stream, code) => {
    const around = readTree(home)

    const { status, stdout, stderr } = await fetchIt(...stream)

    expect(stderr).toContain(`[${code}]`)
    expect(status).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).not.toMatch(UNSAFE_TO_SHOW)
    expect(readTree(home)).toEqual(around)
  })

  test.each([
    ['uuencode', 'begin 4755 ../evil\n'.padEnd(200, 'M'), 'ENCODING_CORRUPT'],
    ['uuencode', binary('ffffffff').toString('latin1'), 'ENCODING_CORRUPT'],
    ['base64', 'A'.repeat(100_000), 'ENCODING_CORRUPT'],
  ])('of the older protocol that sends %s which is none is given up, too', async (encoding, stream, code) => {
    const around = readTree(home)
    agent = await ScriptedAgent.start(
      async (caller) => {
        await caller.request()
        caller.say(TOO_NEW)
        caller.socket.end()
      },
      async (caller) => {
        await caller.request()
        caller.say('READY\n1\nstatus=SENDING\n\n', Buffer.from(stream, 'latin1'))
        caller.socket.end()
      },
    )

    const { stderr } = await client(
      'fetch',
      `${agent.host}:${agent.port}`,
      '--encoding',
      encoding,
      '--extract',
      'target',
    )

    expect(stderr).toContain(`[${code}]`)
    expect(readTree(home)).toEqual(around)
  })

  test('that sends its archive a byte a frame, with progress between, is borne', async () => {
    const bytes = Buffer.concat([SMALL_ARCHIVE, END])
    const drip = Buffer.concat(
      [...bytes].map((byte, at) =>
        Buffer.concat([frame('D', 1, Buffer.of(byte)), at % 64 === 0 ? progressFrame(1) : Buffer.alloc(0)]),
      ),
    )

    const { status, stderr } = await fetchIt(accepted(), SENDING, drip, endFrame(bytes))

    expect([status, stderr]).toEqual([0, ''])
  })
})
