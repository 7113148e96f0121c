import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
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

const program = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))

interface Ended {
  readonly status: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Not spawnSync: the agent they talk to lives in this very process. */
const run = async (name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> => {
  const child = spawn(process.execPath, [program(name), ...args], { env: { PATH: process.env['PATH'], ...env } })
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

describe('backup-client fetch', () => {
  test.each(['octet', 'base64', 'uuencode'])(
    'writes a whole archive that came as %s, and says so',
    async (encoding) => {
      const out = join(work, 'backup.tar')

      const { status, stdout, stderr } = await run('backup-client', [
        'fetch',
        address,
        '--out',
        out,
        '--encoding',
        encoding,
      ])

      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout.toString()).toContain(`complete: ${out}`)
      expect(readdirSync(work)).toEqual(['backup.tar'])
      expect(spawnSync('tar', ['-tf', out]).stdout.toString().split('\n').sort()).toEqual(
        ['', 'ibdata1', 'shop/', 'shop/orders.ibd'].sort(),
      )
    },
  )

  test('prints the receipt as one line of JSON', async () => {
    const out = join(work, 'backup.tar')

    const { stdout } = await run('backup-client', ['fetch', address, '--out', out, '--json', '--sid', 'nightly'])

    const archive = readFileSync(out)
    expect(JSON.parse(stdout.toString())).toMatchObject({
      status: 'COMPLETE',
      path: out,
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
    writeFileSync(file, 'from file \n')
    const args = ['fetch', `127.0.0.1:${portOf(server)}`, '--user', 'u', '--out', join(work, 'x.tar')]

    await run('backup-client', args, { BACKUP_PASSWORD: 'from env' })
    await run('backup-client', [...args, '--password-file', file], { BACKUP_PASSWORD: 'from env' })

    server.close()
    expect(seen.map((request) => /^password=(.*)$/m.exec(request)?.[1])).toEqual(['from env', 'from file '])
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

describe('a stream that is cut', () => {
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

    const ended = await run('backup-client', ['fetch', `127.0.0.1:${portOf(server)}`, '--out', join(work, 'x.tar')])

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

    const ended = await run('backup-client', ['fetch', `127.0.0.1:${portOf(server)}`, '--out', join(work, 'x.tar')])

    expect(ended.status).not.toBe(0)
    expect(readdirSync(work)).toEqual([])
  })

  test('by Ctrl-C leaves no file, and the exit status of a shell', async () => {
    server = await serving((socket) => socket.write(Buffer.concat([Buffer.from(ANSWER), whole.subarray(0, 500_000)])))
    const out = join(work, 'x.tar')
    const child = spawn(process.execPath, [
      ...[program('backup-client'), 'fetch', `127.0.0.1:${portOf(server)}`, '--out', out],
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

describe('backup-client verify', () => {
  test('says whole, and not whole and why', async () => {
    const out = join(work, 'backup.tar')
    await run('backup-client', ['fetch', address, '--out', out])

    const good = await run('backup-client', ['verify', out])
    truncateSync(out, 1_000_000)
    const cut = await run('backup-client', ['verify', out, '--json'])

    expect(good.status).toBe(0)
    expect(good.stdout.toString()).toContain('whole')
    expect(cut.status).toBe(5)
    expect(JSON.parse(cut.stdout.toString())).toMatchObject({ status: 'FAILED', code: 'ARCHIVE_TRUNCATED' })
    expect(cut.stderr).toContain('ARCHIVE_TRUNCATED')
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
