/** `--max-bytes` and `--max-seconds`: what an agent, or a file, can cost at most, whatever it is. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { fetchBackup, restoreBackup, verifyBackup } from '../../lib/client/index.ts'
import { dataFrames } from '../../lib/encodings/index.ts'
import { readTree } from '../archive/file-trees.ts'
import { archive, mark, member } from '../archive/tar-forge.ts'
import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import { accepted, type Caller, framed, progressFrame, ScriptedAgent, SENDING } from './scripted-agent.ts'

let home: string
let agent: ScriptedAgent | undefined

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'limits-'))
})
afterEach(async () => {
  await agent?.close()
  agent = undefined
  rmSync(home, { recursive: true })
})

const LARGE = archive(
  mark({ engine: 'directory', engineVersion: '1', entries: 1, bytes: 3_000_000 }),
  member({ name: 'ibdata1' }, Buffer.alloc(3_000_000, 'page')),
)

/** Plays `script` to one client, until that goes. */
const serve = async (script: (caller: Caller) => void): Promise<{ host: string; port: number }> => {
  agent = await ScriptedAgent.start(async (caller) => {
    await caller.request()
    script(caller)
    await caller.lastWords()
    caller.socket.destroy()
  })
  return agent
}

/** Says something over and over, as fast as it is taken, for as long as somebody is there. */
const forEver = (caller: Caller, bytes: Buffer): void => {
  const again = (): void => {
    if (!caller.socket.destroyed) caller.socket.write(bytes, () => setImmediate(again))
  }
  again()
}

const sendLarge = (caller: Caller): void => caller.say(accepted(), SENDING, framed(LARGE, {}, 60_000))

const client = async (...args: readonly string[]) => {
  const child = spawn(process.execPath, [CLIENT_PROGRAM, ...args], { env: plainEnvironment() })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdout.resume()
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stderr }
}

describe('an archive larger than --max-bytes', () => {
  test.each([
    ['a file', ['--out', 'FILE']],
    ['a directory', ['--extract', 'FILE']],
    ['a pipe', ['--out', '-']],
  ])('that is fetched into %s is refused, and leaves nothing behind', async (_, target) => {
    const { host, port } = await serve(sendLarge)
    const args = target.map((word) => (word === 'FILE' ? join(home, 'backup') : word))

    const { status, stderr } = await client('fetch', `${host}:${port}`, ...args, '--max-bytes', '1M')

    expect(stderr).toContain('expected at most 1048576 bytes of archive, found more [CLIENT_MAX_BYTES]')
    expect(stderr).toContain('hint: raise --max-bytes')
    expect(status).toBe(5)
    expect(readTree(home).size).toBe(0)
  })

  test('is not written up to the limit and beyond: what is over it is never written', async () => {
    const { host, port } = await serve(sendLarge)
    const written: number[] = []
    const { PassThrough } = await import('node:stream')
    const stream = new PassThrough()
    stream.on('data', (bytes: Buffer) => written.push(bytes.length))

    const { receipt } = fetchBackup({ host, port, target: { stream }, maxBytes: 1_000_000 })

    await expect(receipt).rejects.toMatchObject({ code: 'CLIENT_MAX_BYTES', exitStatus: 5 })
    expect(written.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(1_000_000)
  })

  test('to the byte is taken', async () => {
    const { host, port } = await serve(sendLarge)
    const file = join(home, 'backup.tar')

    await fetchBackup({ host, port, target: { file }, maxBytes: LARGE.length }).receipt

    expect(statSync(file).size).toBe(LARGE.length)
    await expect(verifyBackup(file, { maxBytes: LARGE.length })).resolves.toMatchObject({ bytes: LARGE.length })
  })

  test('is found while a compressed file is unpacked, long before it has filled a disk', async () => {
    const file = join(home, 'bomb.tar.gz')
    writeFileSync(file, gzipSync(archive(mark(), member({ name: 'ibdata1' }, Buffer.alloc(40_000_000))), { level: 1 }))
    const target = join(home, 'restored')

    await expect(verifyBackup(file, { maxBytes: 1_000_000 })).rejects.toMatchObject({ code: 'CLIENT_MAX_BYTES' })
    await expect(restoreBackup({ file, target, maxBytes: 1_000_000 })).rejects.toMatchObject({
      code: 'CLIENT_MAX_BYTES',
    })
    for (const command of [
      ['verify', file],
      ['restore', file, '--target', target],
    ]) {
      expect(await client(...command, '--max-bytes', '1M')).toMatchObject({
        status: 5,
        stderr: expect.stringContaining('[CLIENT_MAX_BYTES]'),
      })
    }
    expect(readTree(home).size).toBe(1)
  })
})

test('compressed bytes that nothing comes out of are counted too', async () => {
  const nothing = gzipSync('')
  const members = Buffer.concat(Array.from({ length: 1000 }, () => nothing))
  const { host, port } = await serve((caller) => {
    caller.say(accepted({ compression: 'gzip' }), SENDING)
    forEver(caller, Buffer.concat([...dataFrames(members)]))
  })

  const { receipt } = fetchBackup({ host, port, compress: 'gzip', target: { file: join(home, 'x') }, maxBytes: 1e6 })

  await expect(receipt).rejects.toMatchObject({ code: 'CLIENT_MAX_BYTES' })
})

describe('an agent that keeps the client for longer than --max-seconds', () => {
  test.each<[string, (caller: Caller) => void]>([
    [
      'with progress and never a byte',
      (caller) => {
        caller.say(accepted(), SENDING)
        forEver(caller, progressFrame(50))
      },
    ],
    ['with silence after it has accepted', (caller) => caller.say(accepted())],
    ['with silence at once', () => undefined],
    [
      'with an answer that is dripped',
      (caller) => {
        caller.say('READY\n1\nmsg=')
        const drip = setInterval(() => caller.say('.'), 20)
        caller.socket.once('close', () => clearInterval(drip))
      },
    ],
  ])('%s is left, and nothing is left behind', async (_, script) => {
    const { host, port } = await serve(script)

    const { receipt } = fetchBackup({ host, port, target: { file: join(home, 'backup.tar') }, maxSeconds: 1 })

    await expect(receipt).rejects.toMatchObject({ code: 'CLIENT_MAX_SECONDS', exitStatus: 5 })
    expect(readTree(home).size).toBe(0)
  })

  test('is told of on the command line, with its own exit status', async () => {
    const { host, port } = await serve((caller) => caller.say(accepted()))

    const { status, stderr } = await client(
      'fetch',
      `${host}:${port}`,
      '--out',
      join(home, 'x.tar'),
      '--max-seconds',
      '1',
    )

    expect(stderr).toContain('expected to be done within 1 s, found that it takes longer [CLIENT_MAX_SECONDS]')
    expect(status).toBe(5)
  })
})
