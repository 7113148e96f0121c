/** Compressed backups from the real agent: decompressed on arrival or kept, proven either way, and proven again later. */

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { type FetchOptions, fetchBackup, restoreBackup, verifyBackup } from '../../lib/client/index.ts'
import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { mustRun } from '../rig/run-program.ts'

let home: string
let scratch: string
let source: string
let agent: RunningAgent

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'compressed-fetch-'))
  source = join(home, 'source')
  mkdirSync(join(source, 'shop'), { recursive: true })
  writeFileSync(join(source, 'ibdata1'), randomBytes(300_000))
  writeFileSync(join(source, 'shop', 'orders.ibd'), Buffer.alloc(1_000_000, 'orders'))
  agent = await startAgent({ port: 0, directory: source, stateDirectory: join(home, 'state') })
})
afterAll(async () => {
  await agent.stop()
  rmSync(home, { recursive: true })
})
beforeEach(() => {
  scratch = mkdtempSync(join(home, 'case-'))
})
afterEach(() => rmSync(scratch, { recursive: true }))

const fetched = (options: Partial<FetchOptions> & Pick<FetchOptions, 'target'>) =>
  fetchBackup({ host: agent.host, port: agent.port, ...options }).receipt
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const same = (directory: string): void => {
  execFileSync('diff', ['-r', source, directory])
}

const COMPRESSIONS = [
  ['gzip', '.gz', 'gzip'],
  ['pigz:1', '.tgz', 'gzip'],
  ['zstd:3', '.zst', 'zstd'],
  ['lz4', '.lz4', 'lz4'],
  ['xz:0', '.xz', 'xz'],
] as const

describe.each(COMPRESSIONS)('%s', (compress, suffix, packing) => {
  test('is undone on arrival', async () => {
    const file = join(scratch, 'backup.tar')

    const receipt = await fetched({ compress, target: { file }, requireVerdict: true })

    expect(receipt).toMatchObject({ proof: 'agent-verdict', compression: compress, bytes: statSync(file).size })
    expect(receipt.packed).toBeUndefined()
    expect(receipt.sha256).toBe(sha256(readFileSync(file)))
    await expect(verifyBackup(file, { requireVerdict: true })).resolves.toMatchObject({ sha256: receipt.sha256 })
  })

  test('is unpacked on arrival', async () => {
    const directory = join(scratch, 'unpacked')

    await fetched({ compress, target: { directory } })

    same(directory)
  })

  test('is kept where the name says so, verified and restored', async () => {
    const file = join(scratch, `backup.tar${suffix}`)
    const target = join(scratch, 'restored')

    const receipt = await fetched({ compress, target: { file }, requireVerdict: true })
    const verified = await verifyBackup(file, { requireVerdict: true })
    await restoreBackup({ file, target, requireVerdict: true })

    const bytes = readFileSync(file)
    expect(receipt.packed).toEqual({ packing, bytes: bytes.length, sha256: sha256(bytes) })
    expect(bytes.length).toBeLessThan(receipt.bytes / 2)
    expect(verified).toMatchObject({ packed: receipt.packed, sha256: receipt.sha256, bytes: receipt.bytes })
    same(target)
  })

  test('comes from an agent that is asked in the manner of 0.76', async () => {
    const file = join(scratch, 'backup.tar')

    const receipt = await fetched({ compress, target: { file }, protocol: '0.76' })

    expect(receipt).toMatchObject({ proof: 'archive', protocol: '0.76.1', compression: compress })
    await verifyBackup(file)
  })

  test('kept, and changed by a bit or cut, is no backup any more', async () => {
    const file = join(scratch, `backup.tar${suffix}`)
    await fetched({ compress, target: { file } })
    const whole = readFileSync(file)
    const receipt = readFileSync(`${file}.receipt`)

    for (const withReceipt of [true, false]) {
      if (withReceipt) writeFileSync(`${file}.receipt`, receipt)
      else rmSync(`${file}.receipt`)
      for (const at of [20, whole.length >> 1, whole.length - 3]) {
        const bent = Buffer.from(whole)
        bent.writeUInt8(bent.readUInt8(at) ^ 0x10, at)
        writeFileSync(file, bent)
        await expect(verifyBackup(file)).rejects.toMatchObject({ exitStatus: 5 })
        writeFileSync(file, whole.subarray(0, at))
        await expect(verifyBackup(file)).rejects.toMatchObject({ exitStatus: 5 })
      }
      writeFileSync(file, Buffer.concat([whole, Buffer.from('more')]))
      await expect(verifyBackup(file)).rejects.toMatchObject({ exitStatus: 5 })
    }
  })
})

test('goes to a pipe as it comes when that is wanted', async () => {
  const stream = new PassThrough()
  const arrived = buffer(stream)

  const receipt = await fetched({ compress: 'gzip', keepCompressed: true, target: { stream } })
  stream.end()

  expect(receipt.packed).toMatchObject({ packing: 'gzip', sha256: sha256(await arrived) })
})

test('an archive that was compressed or decompressed by hand since is still what its receipt says', async () => {
  const [plain, kept] = [join(scratch, 'a.tar'), join(scratch, 'b.tar.gz')]
  await fetched({ target: { file: plain } })
  await fetched({ compress: 'gzip', target: { file: kept } })

  execFileSync('zstd', ['-q', plain])
  execFileSync('gzip', ['-dk', kept])

  await expect(verifyBackup(`${plain}.zst`, { receipt: `${plain}.receipt` })).resolves.toMatchObject({
    packed: { packing: 'zstd' },
  })
  await expect(verifyBackup(join(scratch, 'b.tar'), { receipt: `${kept}.receipt` })).resolves.toMatchObject({
    packed: undefined,
  })
})

test('members that were put behind one another are one, and the archive in them must still be one', async () => {
  const file = join(scratch, 'a.tar.gz')
  await fetched({ compress: 'gzip', target: { file } })
  const archive = execFileSync('gzip', ['-dc', file], { maxBuffer: 1 << 30 })
  const halves = [gzipSync(archive.subarray(0, 1000)), gzipSync(archive.subarray(1000))]

  rmSync(`${file}.receipt`)
  writeFileSync(file, Buffer.concat(halves))
  await expect(verifyBackup(file)).resolves.toMatchObject({ sha256: sha256(archive) })

  writeFileSync(file, Buffer.concat([...halves, gzipSync(archive)]))
  await expect(verifyBackup(file)).rejects.toMatchObject({ code: 'ARCHIVE_TRAILING_BYTES' })
  writeFileSync(file, Buffer.concat([...halves, Buffer.alloc(512)]))
  await expect(verifyBackup(file)).rejects.toMatchObject({ code: 'COMPRESS_CORRUPT' })
})

test('a file that grows into far more than its receipt says is left alone', async () => {
  const file = join(scratch, 'a.tar.gz')
  await fetched({ compress: 'gzip', target: { file } })
  const receipt = JSON.parse(readFileSync(`${file}.receipt`, 'utf8'))
  const grown = join(scratch, 'grown')
  mkdirSync(grown)
  writeFileSync(join(grown, 'ibdata1'), Buffer.alloc(30_000_000))
  const bomb = gzipSync(execFileSync('tar', ['-cf', '-', '-C', grown, 'ibdata1'], { maxBuffer: 1 << 30 }))
  writeFileSync(`${file}.receipt`, JSON.stringify({ ...receipt, packed: undefined }))

  writeFileSync(file, bomb)

  await expect(verifyBackup(file)).rejects.toMatchObject({ code: 'COMPRESS_LIMIT' })
})

describe('cannot be had:', () => {
  test.each<[string, (directory: string) => Partial<FetchOptions> & Pick<FetchOptions, 'target'>, string]>([
    ['another compressor', (at) => ({ compress: 'bzip2', target: { file: join(at, 'x.tar') } }), 'COMPRESS_REFUSED'],
    ['a name that says another', (at) => ({ compress: 'gzip', target: { file: join(at, 'x.tar.zst') } }), 'CLI_USAGE'],
    ['a name that says one where there is none', (at) => ({ target: { file: join(at, 'x.tar.zst') } }), 'CLI_USAGE'],
    [
      'a name that says one of what is decompressed',
      (at) => ({ compress: 'gzip', keepCompressed: false, target: { file: join(at, 'x.tar.gz') } }),
      'CLI_USAGE',
    ],
    [
      'what is not compressed, kept so',
      (at) => ({ keepCompressed: true, target: { file: join(at, 'x') } }),
      'CLI_USAGE',
    ],
    [
      'a directory that is compressed',
      (at) => ({ compress: 'gzip', keepCompressed: true, target: { directory: join(at, 'x') } }),
      'CLI_USAGE',
    ],
  ])('%s', async (_, options, code) => {
    await expect(fetched(options(scratch))).rejects.toMatchObject({ code })
    expect(readdirSync(scratch)).toEqual([])
  })

  test('what this machine cannot decompress, before a byte is asked for', async () => {
    const before = process.env['PATH']
    process.env['PATH'] = scratch
    try {
      await expect(fetched({ compress: 'zstd', target: { file: join(scratch, 'x.tar') } })).rejects.toMatchObject({
        code: 'COMPRESS_NOT_FOUND',
        hint: expect.stringContaining('apt-get install zstd'),
      })
    } finally {
      process.env['PATH'] = before
    }
    expect(readdirSync(scratch)).toEqual([])
  })
})

test('the whole way on the command line, from a running server', async () => {
  const server = await ThrowawayServer.start()
  const serverAgent = await startAgent({ port: 0, engine: 'mariadb-backup', socket: server.socket })
  try {
    await server.createBackupUser('backup', 'secret')
    await server.query('CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB;')
    const environment = { PATH: process.env['PATH'] ?? '', BACKUP_PASSWORD: 'secret' }
    const client = (...words: string[]) => mustRun(process.execPath, [CLIENT_PROGRAM, ...words], { environment })
    const file = join(scratch, 'db1.tar.zst')
    const address = `${serverAgent.host}:${serverAgent.port}`

    const { stdout } = await client('fetch', address, '--user', 'backup', '--compress', 'zstd:1', '--out', file)
    const verified = await client('verify', file, '--require-verdict')
    await client('restore', file, '--target', join(scratch, 'restored'))
    const xbstream = join(scratch, 'db1.xb.gz')
    await client('fetch', address, '--user', 'backup', '--compress', 'pigz', '--format', 'xbstream', '--out', xbstream)
    await client('verify', xbstream, '--require-verdict')

    expect(stdout.toString()).toContain('compressed  zstd, ')
    expect(verified.stdout.toString()).toContain('compressed  zstd, ')
    expect(readdirSync(join(scratch, 'restored', 'shop')).sort()).toContain('t.ibd')
    execFileSync('zstd', ['-t', '-q', file])
  } finally {
    await serverAgent.stop()
    await server.discard()
  }
})
