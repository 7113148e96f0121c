import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { blockFrame } from '../../lib/encodings/index.ts'
import { writeEnd, writeKvBlock, writeReady, writeStatus } from '../../lib/protocol/index.ts'
import { accepted, framed, SENDING, SMALL_ARCHIVE, TOO_NEW } from '../client/scripted-agent.ts'

const program = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))

/** A whole framed session, as the agent says it. */
const SENT = Buffer.concat([accepted(), SENDING, framed(SMALL_ARCHIVE)])

interface Ended {
  readonly status: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Not spawnSync: the agent they talk to lives in this very process. */
const run = async (name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> => {
  return ended(spawn(process.execPath, [program(name), ...args], { env: { PATH: process.env['PATH'], ...env } }))
}

const ended = async (child: ChildProcessWithoutNullStreams): Promise<Ended> => {
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }
}

let scratch: string
let source: string
let work: string
let agent: RunningAgent
let address: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'programs-'))
  source = join(scratch, 'source')
  mkdirSync(join(source, 'shop'), { recursive: true })
  writeFileSync(join(source, 'ibdata1'), randomBytes(2_000_000))
  writeFileSync(join(source, 'shop', 'orders.ibd'), randomBytes(100_000))
  agent = await startAgent({ port: 0, directory: source })
  address = `${agent.host}:${agent.port}`
})
afterAll(async () => {
  await agent.stop()
  rmSync(scratch, { recursive: true })
})
beforeEach(() => {
  work = mkdtempSync(join(scratch, 'work-'))
})

describe.each(['backup-agent', 'backup-client'])('a text that %s was asked for', (name) => {
  test.each(['--help', '--version'])(
    'is read as far as its reader likes, and that is no failure: %s',
    async (option) => {
      const child = spawn(process.execPath, [program(name), option])
      child.stdout.destroy()

      expect(await ended(child)).toMatchObject({ status: 0, stderr: '' })
    },
  )

  test('is lost on a full disk, which is one', async () => {
    const { status, stderr } = await ended(
      spawn('sh', ['-c', 'exec "$@" > /dev/full', 'sh', process.execPath, program(name), '--help']),
    )

    expect(stderr).toBe(`${name}: cannot print what there is to say: ENOSPC [CLI_OUTPUT]\n`)
    expect(status).toBe(7)
  })
})

describe('backup-client fetch', () => {
  const VERDICT = "whole, and the agent's own verdict and digest agree"
  const NO_VERDICT = 'whole by its own end and metadata; no verdict of an agent'

  test.each([
    ['by default', [], VERDICT],
    ['framed', ['--encoding', 'framed', '--require-verdict'], VERDICT],
    ['as octet', ['--encoding', 'octet'], NO_VERDICT],
    ['as base64', ['--encoding', 'base64'], NO_VERDICT],
    ['as uuencode', ['--encoding', 'uuencode'], NO_VERDICT],
    ['in the manner of 0.76', ['--protocol', '0.76'], NO_VERDICT],
    ['in the manner of 0.76 as base64', ['--protocol', '0.76', '--encoding', 'base64'], NO_VERDICT],
  ])('writes a whole archive that came %s, and says so, with its proof', async (_, options, proof) => {
    const out = join(work, 'backup.tar')

    const { status, stdout, stderr } = await run('backup-client', ['fetch', address, '--out', out, ...options])

    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.toString()).toContain(`complete: ${out}`)
    expect(stdout.toString()).toContain(`${proof}\n`)
    expect(readdirSync(work)).toEqual(['backup.tar', 'backup.tar.receipt'])
    expect(spawnSync('tar', ['-tf', out]).stdout.toString().split('\n').sort()).toEqual(
      ['', 'ibdata1', 'shop/', 'shop/orders.ibd'].sort(),
    )
  })

  test('prints the receipt as one line of JSON', async () => {
    const out = join(work, 'backup.tar')

    const { stdout } = await run('backup-client', ['fetch', address, '--out', out, '--json', '--sid', 'nightly'])

    const archive = readFileSync(out)
    expect(JSON.parse(stdout.toString())).toMatchObject({
      status: 'COMPLETE',
      path: out,
      receiptFile: `${out}.receipt`,
      receipt: 1,
      proof: 'agent-verdict',
      sid: 'nightly',
      bytes: archive.length,
      sha256: createHash('sha256').update(archive).digest('hex'),
      files: 2,
      engine: 'directory',
      seconds: expect.any(Number),
    })
  })

  test('sends the archive to a pipe, and the receipt to standard error', async () => {
    const { status, stdout, stderr } = await run('backup-client', ['fetch', address, '--out', '-', '--json'])

    expect(status).toBe(0)
    expect((JSON.parse(stderr) as { sha256: string }).sha256).toBe(createHash('sha256').update(stdout).digest('hex'))
    expect(readdirSync(work)).toEqual([])
  })

  test.each([
    ['to standard error, alone, where the archive would have the other', ['--out', '-'], 'stderr'],
    ['to standard output, and its sentence to standard error', ['--out', 'FILE'], 'stdout'],
  ] as const)('prints a failure as one line of JSON %s', async (_, target, stream) => {
    const args = target.map((word) => (word === 'FILE' ? join(work, 'x.tar') : word))

    const ended = await run('backup-client', ['fetch', `127.0.0.1:${await unusedPort()}`, ...args, '--json'])

    const said = { stdout: ended.stdout.toString(), stderr: ended.stderr }
    expect(JSON.parse(said[stream])).toMatchObject({ status: 'FAILED', code: 'CLIENT_CONNECT', exitStatus: 6 })
    expect(stream === 'stdout' ? said.stderr : said.stdout).toMatch(
      stream === 'stdout' ? /^backup-client: cannot connect .*\n {2}hint: .*\n$/ : /^$/,
    )
    expect(ended.status).toBe(6)
  })

  test('writes the receipt of a pipe where it is told to, and none for a file where it is told not to', async () => {
    const receipt = join(work, 'pipe.receipt')
    const out = join(work, 'x.tar')

    const piped = await run('backup-client', ['fetch', address, '--out', '-', '--receipt-file', receipt])
    const kept = await run('backup-client', ['fetch', address, '--out', out, '--no-receipt', '--json'])

    expect([piped.status, kept.status]).toEqual([0, 0])
    expect(JSON.parse(kept.stdout.toString())).not.toHaveProperty('receiptFile')
    expect(readdirSync(work)).toEqual(['pipe.receipt', 'x.tar'])
    writeFileSync(join(work, 'y.tar'), piped.stdout)
    const verified = await run('backup-client', ['verify', join(work, 'y.tar'), '--receipt', receipt, '--json'])
    expect(JSON.parse(verified.stdout.toString())).toMatchObject({ status: 'COMPLETE', proof: 'agent-verdict' })
  })

  test('unpacks into a directory', async () => {
    const target = join(work, 'restored')

    const { status } = await run('backup-client', ['fetch', address, '--extract', target])

    expect(status).toBe(0)
    expect(spawnSync('diff', ['-r', source, target]).status).toBe(0)
    expect(readdirSync(work)).toEqual(['restored'])
  })

  test('takes the password from the environment or a file, without the newline at its end', async () => {
    const seen: string[] = []
    const server = await refusing((request) => seen.push(request))
    const file = join(work, 'password')
    writeFileSync(file, 'from file \n', { mode: 0o600 })
    const args = ['fetch', `127.0.0.1:${portOf(server)}`, '--user', 'u', '--out', join(work, 'x.tar')]

    await run('backup-client', args, { BACKUP_PASSWORD: 'from env' })
    await run('backup-client', [...args, '--password-file', file], { BACKUP_PASSWORD: 'from env' })

    // As in --password-file <(…): a pipe has no mode that says anything.
    const piped = 'printf "from pipe\\n" | "$@" --password-file /dev/stdin'
    await ended(spawn('sh', ['-c', piped, 'sh', process.execPath, program('backup-client'), ...args]))

    server.close()
    const passwords = seen.map((request) => /^password=(.*)$/m.exec(request)?.[1])
    expect(passwords).toEqual(['from env', 'from file ', 'from pipe'])
  })

  test('takes no password from a file that everybody can read', async () => {
    const file = join(work, 'open-password')
    writeFileSync(file, 'from file\n')
    chmodSync(file, 0o644)

    const { status, stderr } = await run('backup-client', ['fetch', 'db1', '--out', 'x', '--password-file', file])

    expect(status).toBe(2)
    expect(stderr).toMatch(
      /everybody on this machine can read or change it \(mode 0644\) \[CLI_FILE\]\n {2}hint: chmod 0600/,
    )
  })

  test.each<[string, () => Promise<string[]> | string[], number, string]>([
    [
      'nobody listens',
      async () => [`127.0.0.1:${await unusedPort()}`, '--out', join(work, 'x.tar')],
      6,
      'CLIENT_CONNECT',
    ],
    [
      'the file is there already',
      () => {
        writeFileSync(join(work, 'there.tar'), '')
        return [address, '--out', join(work, 'there.tar')]
      },
      7,
      'CLIENT_TARGET',
    ],
    ['the directory is not there', () => [address, '--out', join(work, 'no', 'x.tar')], 7, 'CLIENT_WRITE'],
    ['no target is given', () => [address], 2, 'CLI_USAGE'],
    [
      'an xbstream is to be unpacked',
      () => [address, '--format', 'xbstream', '--extract', join(work, 'd')],
      2,
      'CLI_USAGE',
    ],
    ['an older agent is to send frames', () => [...framedOf076(), '--out', join(work, 'x.tar')], 2, 'CLI_USAGE'],
    [
      'a receipt is wanted and not wanted',
      () => [address, '--out', join(work, 'x.tar'), '--no-receipt', '--receipt-file', join(work, 'r')],
      2,
      'CLI_USAGE',
    ],
    [
      'a verdict is wanted of a plain stream',
      () => [address, '--out', join(work, 'x.tar'), '--encoding', 'octet', '--require-verdict'],
      3,
      'CLIENT_NO_VERDICT',
    ],
    [
      'the password file is not there',
      () => [address, '--out', join(work, 'x.tar'), '--password-file', join(work, 'no')],
      2,
      'CLI_FILE',
    ],
  ])('when %s: no file, and the exit status and the code that say so', async (_, args, status, code) => {
    const given = await args()
    const before = readdirSync(work)

    const ended = await run('backup-client', ['fetch', ...given])

    expect(ended.status).toBe(status)
    expect(ended.stderr).toContain(`[${code}]`)
    expect(ended.stderr).toContain('backup-client: ')
    expect(readdirSync(work)).toEqual(before)
  })

  const framedOf076 = (): string[] => [address, '--encoding', 'framed', '--protocol', '0.76']

  test('says how to unpack an xbstream', async () => {
    const { stderr } = await run('backup-client', ['fetch', address, '--format', 'xbstream', '--extract', 'there'])

    expect(stderr).toContain('mbstream -x -C there < FILE')
  })

  test('says what the agent said when it refuses, as JSON too', async () => {
    const server = await refusing(() => undefined)

    const { status, stdout, stderr } = await run('backup-client', [
      ...['fetch', `127.0.0.1:${portOf(server)}`, '--out', join(work, 'x.tar'), '--json'],
    ])

    server.close()
    expect(status).toBe(3)
    expect(stderr).toContain('not today')
    expect(JSON.parse(stdout.toString())).toMatchObject({ status: 'FAILED', code: 'CLIENT_REFUSED', exitStatus: 3 })
  })
})

describe('a stream without an end of its own that is cut', () => {
  let whole: Buffer
  let server: Server | undefined

  beforeAll(async () => {
    whole = (await run('backup-client', ['fetch', address, '--out', '-'])).stdout
  })
  afterEach(() => {
    server?.close()
  })

  const ANSWER = 'READY\n2\nstatus=SENDING\nmsg=here it comes\n\n'

  test.each([
    ['before its first byte', () => 0],
    ['in the middle of a file', () => 1_000_000],
    ['before the end-of-archive blocks', () => whole.length - 1024],
    ['one byte before its end', () => whole.length - 1],
  ])('%s leaves no file, even if the agent closed in order', async (_, bytes) => {
    server = await serving((socket) => socket.end(Buffer.concat([Buffer.from(ANSWER), whole.subarray(0, bytes())])))

    const ended = await run('backup-client', [
      'fetch',
      `127.0.0.1:${portOf(server)}`,
      '--protocol',
      '0.76',
      '--out',
      join(work, 'x.tar'),
    ])

    expect(ended.status).toBe(5)
    expect(ended.stderr).toContain('[ARCHIVE_')
    expect(readdirSync(work)).toEqual([])
  })

  test('by a reset leaves no file, even if every byte was there', async () => {
    server = await serving((socket) => {
      socket.write(Buffer.concat([Buffer.from(ANSWER), whole]), () => {
        // The client has read everything when its window is open again; a reset throws away what it has not.
        setImmediate(() => socket.resetAndDestroy())
      })
    })

    const ended = await run('backup-client', [
      'fetch',
      `127.0.0.1:${portOf(server)}`,
      '--protocol',
      '0.76',
      '--out',
      join(work, 'x.tar'),
    ])

    expect(ended.status).not.toBe(0)
    expect(readdirSync(work)).toEqual([])
  })

  test('by Ctrl-C leaves no file, and the exit status of a shell', async () => {
    server = await serving((socket) => socket.write(Buffer.concat([Buffer.from(ANSWER), whole.subarray(0, 500_000)])))
    const out = join(work, 'x.tar')
    const child = spawn(process.execPath, [
      ...[program('backup-client'), 'fetch', `127.0.0.1:${portOf(server)}`, '--protocol', '0.76', '--out', out],
    ])
    const [socket] = (await once(server, 'connection')) as [Socket]
    await once(socket, 'data')

    // The part file is there when the client has begun; the signal must take it away.
    expect(existsSync(`${out}.part`)).toBe(true)
    child.kill('SIGINT')
    const [status] = (await once(child, 'close')) as [number]

    expect(status).toBe(130)
    expect(readdirSync(work)).toEqual([])
  })
})

test('a refusal in words that would turn a line round, or a name that would clear the screen, is printed without', async () => {
  const server = await serving((socket) => socket.end('2\nstatus=FAILED\nmsg=no \u202egnp.exe\n\n'))

  const refused = await run('backup-client', ['ping', `127.0.0.1:${portOf(server)}`])
  const missing = await run('backup-client', ['verify', join(work, 'a\u001b[2Jb.tar')])

  server.close()
  expect(refused.stderr).toContain('the agent refused: no ?gnp.exe')
  expect(missing.stderr).toContain('a?[2Jb.tar: ENOENT')
})

describe('a framed stream that is cut', () => {
  test.each([
    ['before its first frame', SENT.indexOf('\n\n', SENT.indexOf('SENDING')) + 2, 5, 'FRAME_TRUNCATED'],
    ['in the middle of a frame', SENT.length - 500, 5, 'FRAME_TRUNCATED'],
    ['before the backup begins', SENT.indexOf('status=SENDING') - 2, 5, 'CLIENT_CUT'],
    ['one byte before its end', SENT.length - 1, 5, 'FRAME_TRUNCATED'],
  ])('%s leaves no file, even if the agent closed in order', async (_, bytes, status, code) => {
    const server = await serving((socket) => socket.end(SENT.subarray(0, bytes)))

    const ended = await run('backup-client', ['fetch', `127.0.0.1:${portOf(server)}`, '--out', join(work, 'x.tar')])

    server.close()
    expect(ended.stderr).toContain(`[${code}]`)
    expect(ended.status).toBe(status)
    expect(readdirSync(work)).toEqual([])
  })

  test('and the agent says why: the status of a backup that failed there', async () => {
    const end = blockFrame(
      'end',
      writeEnd({ status: 'FAILED', msg: 'no space left', sid: 's', code: 'ARCHIVE_SPOOL_FULL', bytes: 9 }),
    )
    const server = await serving((socket) => socket.end(Buffer.concat([accepted(), SENDING, end])))

    const ended = await run('backup-client', [
      ...['fetch', `127.0.0.1:${portOf(server)}`, '--out', join(work, 'x.tar'), '--json'],
    ])

    server.close()
    expect(ended.status).toBe(4)
    expect(JSON.parse(ended.stdout.toString())).toMatchObject({
      code: 'CLIENT_BACKUP_FAILED',
      message: 'the backup failed on the database host: no space left',
      facts: { agentCode: 'ARCHIVE_SPOOL_FULL' },
    })
    expect(readdirSync(work)).toEqual([])
  })
})

describe('backup-client verify', () => {
  test('says whole, and not whole and why', async () => {
    const out = join(work, 'backup.tar')
    await run('backup-client', ['fetch', address, '--out', out])

    const good = await run('backup-client', ['verify', out])
    truncateSync(out, 1_000_000)
    const other = await run('backup-client', ['verify', out, '--json'])
    rmSync(`${out}.receipt`)
    const cut = await run('backup-client', ['verify', out, '--json'])

    expect(good.status).toBe(0)
    expect(good.stdout.toString()).toContain("whole, and the agent's own verdict and digest agree\n")
    expect(other.status).toBe(5)
    expect(JSON.parse(other.stdout.toString())).toMatchObject({ status: 'FAILED', code: 'CLIENT_RECEIPT' })
    expect(cut.status).toBe(5)
    expect(JSON.parse(cut.stdout.toString())).toMatchObject({ status: 'FAILED', code: 'ARCHIVE_TRUNCATED' })
    expect(cut.stderr).toContain('ARCHIVE_TRUNCATED')
  })

  test('says that a file without a receipt has no verdict, and refuses it where one is wanted', async () => {
    const out = join(work, 'backup.tar')
    await run('backup-client', ['fetch', address, '--out', out, '--no-receipt'])

    const good = await run('backup-client', ['verify', out])
    const wanted = await run('backup-client', ['verify', out, '--require-verdict'])

    expect(good.status).toBe(0)
    expect(good.stdout.toString()).toContain('whole by its own end and metadata; no verdict of an agent\n')
    expect(wanted.status).toBe(3)
    expect(wanted.stderr).toContain('[CLIENT_NO_VERDICT]')
  })

  test('says so when there is no such file', async () => {
    expect((await run('backup-client', ['verify', join(work, 'no.tar')])).status).toBe(2)
  })
})

describe('backup-client restore', () => {
  test('makes a directory out of an archive and says the next step', async () => {
    const out = join(work, 'backup.tar')
    const target = join(work, 'restored')
    await run('backup-client', ['fetch', address, '--out', out])

    const { status, stdout } = await run('backup-client', ['restore', out, '--target', target])

    expect(status).toBe(0)
    expect(stdout.toString()).toContain(`--datadir=${target}`)
    expect(spawnSync('diff', ['-r', source, target]).status).toBe(0)
  })

  test('touches nothing in a directory that is not empty', async () => {
    const out = join(work, 'backup.tar')
    const target = join(work, 'mine')
    mkdirSync(target)
    writeFileSync(join(target, 'precious'), '')
    await run('backup-client', ['fetch', address, '--out', out])

    const { status } = await run('backup-client', ['restore', out, '--target', target])

    expect(status).toBe(7)
    expect(readdirSync(target)).toEqual(['precious'])
  })
})

describe('questions', () => {
  test('ping says who answers', async () => {
    const { status, stdout } = await run('backup-client', ['ping', address])

    expect(status).toBe(0)
    expect(stdout.toString()).toMatch(/^agent +kv-backup-agent\/\S+\nprotocol +0\.77\.0\nround trip +[\d.]+ ms\n$/)
  })

  test('status shows an idle agent', async () => {
    const { status, stdout } = await run('backup-client', ['status', address])
    const { stdout: json } = await run('backup-client', ['status', address, '--json'])

    expect(status).toBe(0)
    expect(stdout.toString()).toMatch(/^engine +directory/m)
    expect(stdout.toString()).toContain('no backup is running\n')
    expect(JSON.parse(json.toString())).toMatchObject({ status: 'OK', engine: 'directory', jobs: [] })
  })

  test('verdict tells how the newest backup of a session ended', async () => {
    const fetched = await run('backup-client', [
      ...['fetch', address, '--out', join(work, 'x.tar'), '--sid', 'asked-later', '--json'],
    ])

    const { status, stdout } = await run('backup-client', ['verdict', address, 'asked-later', '--wait'])
    const { stdout: json } = await run('backup-client', ['verdict', address, 'asked-later', '--json'])

    expect(status).toBe(0)
    expect(stdout.toString()).toMatch(/^verdict +COMPLETE \(delivered\)/)
    const { sha256, bytes, entries } = JSON.parse(fetched.stdout.toString()) as Record<string, unknown>
    expect(JSON.parse(json.toString())).toMatchObject({
      status: 'COMPLETE',
      outcome: 'delivered',
      sha256,
      bytes,
      entries,
    })
  })

  test.each([
    ['verdict', ['verdict', 'nobody']],
    ['cancel', ['cancel', 'nobody']],
  ])('%s of a session that nobody knows is refused', async (_, [command = '', sid = '']) => {
    const { status, stderr } = await run('backup-client', [command, address, sid])

    expect(status).toBe(3)
    expect(stderr).toContain('[JOB_UNKNOWN]')
  })

  test.each([
    ['RUNNING', 3],
    ['FAILED', 4],
    ['COMPLETE', 0],
  ] as const)('a verdict %s is printed, and its exit status is %i', async (word, exitStatus) => {
    const server = await serving((socket) => {
      socket.once('data', () => {
        socket.end(
          Buffer.concat([writeReady(), writeStatus({ status: word, msg: 'so it is', sid: 'n' }, [['job', '1']])]),
        )
      })
    })

    const ended = await run('backup-client', ['verdict', `127.0.0.1:${portOf(server)}`, 'n'])

    server.close()
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: exitStatus, stderr: '' })
    expect(ended.stdout.toString()).toContain(`${word}: so it is\n`)
  })

  test('names from the other side cannot move the cursor', async () => {
    const job = {
      sid: 'a\u202eb',
      job: '1',
      peer: 'p',
      state: 'streaming',
      stage: 's',
      seconds: '61',
      bytes: '2048',
      sent: '0',
    }
    const more = { files: '1', percent: '40', eta: '90', spilled: '0', encoding: 'e', format: 'tar' }
    const head = {
      agent: 'a/1',
      protocol: '0.77.0',
      engine: 'directory',
      'engine-version': '1',
      uptime: '5',
      jobs: '1',
    }
    const server = await serving((socket) => {
      socket.once('data', () => {
        socket.end(
          Buffer.concat([
            writeReady(),
            writeStatus({ status: 'OK', msg: 'one' }, Object.entries(head)),
            writeKvBlock(Object.entries({ ...job, ...more })),
          ]),
        )
      })
    })

    const { stdout } = await run('backup-client', ['status', `127.0.0.1:${portOf(server)}`])

    server.close()
    expect(stdout.toString().split('\n').slice(-3)).toEqual([
      'SESSION  STATE      STAGE  DONE  LEFT        TIME        SIZE     SENT  FILES  PEER',
      'a?b      streaming  s      40 %  1 min 30 s  1 min 01 s  2.0 KiB  0 B   1      p',
      '',
    ])
  })

  test.each(['ping', 'status', 'cancel', 'verdict'])('%s says that an agent is too old', async (command) => {
    const server = await serving((socket) => socket.once('data', () => socket.end(TOO_NEW)))
    const sid = command === 'cancel' || command === 'verdict' ? ['n'] : []

    const { status, stderr } = await run('backup-client', [command, `127.0.0.1:${portOf(server)}`, ...sid])

    server.close()
    expect(status).toBe(3)
    expect(stderr).toContain('older than protocol 0.77')
  })
})

describe('both programs', () => {
  test.each(['backup-agent', 'backup-client'])('%s explains itself', async (name) => {
    const { status, stdout } = await run(name, ['--help'])

    expect(status).toBe(0)
    expect(stdout.toString()).toContain('Usage:')
  })

  test.each([
    ['backup-agent', ['serve', '--listen', 'nowhere']],
    ['backup-agent', ['serve', '--engine', 'magic']],
    ['backup-agent', ['serve', '--spool-bytes', '-1']],
    ['backup-agent', ['fly']],
    ['backup-client', ['fetch']],
    ['backup-client', ['fetch', 'db1', '--out', 'a', '--extract', 'b']],
    ['backup-client', ['fetch', 'db1:99999', '--out', 'a']],
    ['backup-client', ['fetch', 'db1', '--out', 'a', '--encoding', 'gzip']],
    ['backup-client', ['fetch', 'db1', '--out', 'a', '--format', 'zip']],
    ['backup-client', ['fetch', 'db1', '--out', 'a', '--protocol', '0.75']],
    ['backup-client', ['ping']],
    ['backup-client', ['cancel', 'db1']],
    ['backup-client', ['verdict', 'db1']],
  ])('%s %j is wrong usage', async (name, args) => {
    expect((await run(name, args)).status).toBe(2)
  })
})

/** An agent that refuses whatever it is asked, and shows what it was asked. */
const refusing = (onRequest: (request: string) => void): Promise<Server> =>
  serving((socket) => {
    socket.once('data', (request) => {
      onRequest(request.toString())
      socket.end('2\nstatus=FAILED\nmsg=not today\n\n')
    })
  })

const serving = async (onConnection: (socket: Socket) => void): Promise<Server> => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const portOf = (server: Server): number => (server.address() as { port: number }).port

const unusedPort = async (): Promise<number> => {
  const server = await serving(() => undefined)
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

describe('words that nobody takes', () => {
  /** By a shell, which gives the program an output of its choice. */
  const runInShell = async (script: string, out: string): Promise<Ended> => {
    const args = [
      '-c',
      script,
      'sh',
      process.execPath,
      program('backup-client'),
      'fetch',
      address,
      '--out',
      out,
      '--json',
    ]
    const child = spawn('sh', args, { env: { PATH: process.env['PATH'] } })
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    const [status] = (await once(child, 'close')) as [number | null]
    return { status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
  }

  test.each([
    ['whose reader is gone', '{ "$@"; echo "status $?" >&2; } | true', 'status 0\n'],
    ['to a full disk', '"$@" >/dev/full; echo "status $?" >&2', /^backup-client: .*ENOSPC \[CLI_OUTPUT\]\nstatus 7\n$/],
    [
      'about a failure, to a full disk',
      '"$@" --protocol 0.76 --encoding framed >/dev/full; echo "status $?" >&2',
      /\[CLI_USAGE\][\s\S]*status 2\n$/,
    ],
    ['on a standard error that is full', '"$@" 2>/dev/full >/dev/null; echo "status $?" >&2', 'status 0\n'],
  ])('a report %s ends nothing, and is no bug', async (what, script, expected) => {
    const out = join(work, 'unheard.tar')

    const { stderr } = await runInShell(script, out)

    expect(stderr).toMatch(expected)
    expect(stderr).not.toContain('node:')
    expect(existsSync(out)).toBe(!what.includes('failure'))
  })
})
