/**
 * The client and the agent as they are: what the one says, the other understands.
 *
 * The backups are of a directory, and of a running server by the real mariadb-backup.
 */

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { XbstreamProof } from '../../lib/archive/index.ts'
import {
  agentStatus,
  type AskOptions,
  backupVerdict,
  cancelBackup,
  fetchBackup,
  pingAgent,
  restoreBackup,
  verifyBackup,
} from '../../lib/client/index.ts'
import { readTree } from '../archive/file-trees.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { mustRun } from '../rig/run-program.ts'

const MIB = 1024 * 1024

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'real-agent-'))
})
afterEach(() => rmSync(scratch, { recursive: true }))

describe('an agent with a directory', () => {
  let home: string
  let source: string
  let agent: RunningAgent
  let address: AskOptions

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'real-agent-'))
    source = join(home, 'source')
    mkdirSync(join(source, 'shop'), { recursive: true })
    writeFileSync(join(source, 'shop', 'orders.ibd'), Buffer.alloc(3 * MIB, 'orders'))
    writeFileSync(join(source, 'ibdata1'), '')
    truncateSync(join(source, 'ibdata1'), 64 * MIB)
    agent = await startAgent({ port: 0, engine: 'directory', directory: source, stateDirectory: join(home, 'state') })
    address = { host: agent.host, port: agent.port }
  })
  afterAll(async () => {
    await agent.stop()
    rmSync(home, { recursive: true })
  })

  test('delivers a backup, and both sides know of the other that it is whole', async () => {
    const file = join(scratch, 'backup.tar')

    const receipt = await fetchBackup({ ...address, sid: 'whole', target: { file }, requireVerdict: true }).receipt

    expect(receipt).toMatchObject({ proof: 'agent-verdict', entries: 3, files: 2, bytes: statSync(file).size })
    await expect(backupVerdict('whole', { ...address, wait: true })).resolves.toMatchObject({
      status: 'COMPLETE',
      outcome: 'delivered',
      sha256: receipt.sha256,
      bytes: receipt.bytes,
      entries: receipt.entries,
    })
    await expect(verifyBackup(file, { requireVerdict: true })).resolves.toMatchObject({ sha256: receipt.sha256 })
    await restoreBackup({ file, target: join(scratch, 'restored'), requireVerdict: true })
    expect(readTree(join(scratch, 'restored'))).toEqual(readTree(source))
  })

  test('unpacks a framed backup while it comes', async () => {
    const directory = join(scratch, 'unpacked')

    await expect(fetchBackup({ ...address, target: { directory } }).receipt).resolves.toMatchObject({
      proof: 'agent-verdict',
    })

    expect(readTree(directory)).toEqual(readTree(source))
  })

  test.each(['octet', 'base64', 'uuencode'] as const)(
    'speaks %s, in both manners',
    async (encoding) => {
      for (const protocol of ['0.77', '0.76'] as const) {
        const file = join(scratch, `${protocol}.tar`)

        const receipt = await fetchBackup({ ...address, target: { file }, encoding, protocol }).receipt

        expect(receipt).toMatchObject({ proof: 'archive', encoding })
      }
    },
    60_000,
  )

  test('is told when the backup could not be kept', async () => {
    const file = join(scratch, 'backup.tar')
    const receipt = fetchBackup({ ...address, sid: 'not-kept', target: { file } }).receipt
    const taking = async (): Promise<void> => {
      while ((statSync(`${file}.part`, { throwIfNoEntry: false })?.size ?? 0) === 0) {
        await new Promise((resolve) => setImmediate(resolve))
      }
      writeFileSync(file, 'faster')
    }

    const [fetched] = await Promise.allSettled([receipt, taking()])

    expect(fetched).toMatchObject({ status: 'rejected', reason: { code: 'CLIENT_TARGET' } })
    await expect(backupVerdict('not-kept', { ...address, wait: true })).resolves.toMatchObject({
      status: 'COMPLETE',
      outcome: 'sent-unconfirmed',
    })
  })

  test('shows a running backup, stops it on demand, and remembers that', async () => {
    await expect(pingAgent(address)).resolves.toMatchObject({ protocol: '0.77.0' })
    const stream = new PassThrough() // nobody reads: the backup cannot end
    const fetch = fetchBackup({ ...address, sid: 'stopped', target: { stream } })
    fetch.receipt.catch(() => undefined)
    for await (const { bytes } of fetch) if (bytes > 0) break

    const { jobs } = await agentStatus(address)
    const running = await backupVerdict('stopped', address)
    const cancelled = await cancelBackup('stopped', address)
    stream.resume()

    expect(jobs).toEqual([
      expect.objectContaining({ sid: 'stopped', format: 'tar', encoding: 'application/x-framed-stream' }),
    ])
    expect(running.status).toBe('RUNNING')
    expect(cancelled).toBe(1)
    await expect(fetch.receipt).rejects.toMatchObject({
      code: 'CLIENT_BACKUP_FAILED',
      exitStatus: 4,
      facts: { agentCode: 'JOB_CANCELLED' },
    })
    await expect(backupVerdict('stopped', { ...address, wait: true })).resolves.toMatchObject({
      status: 'FAILED',
      outcome: 'cancelled',
      code: 'JOB_CANCELLED',
    })
    await expect(agentStatus(address)).resolves.toMatchObject({ jobs: [] })
  })

  test('has no xbstream of a directory, and nothing else is taken for one', async () => {
    const fetch = fetchBackup({ ...address, format: 'xbstream', target: { file: join(scratch, 'x.xb') } })

    await expect(fetch.receipt).rejects.toMatchObject({ code: expect.any(String) })
    expect(readdirSync(scratch)).toEqual([])
  })
})

describe('an agent with a running server', () => {
  let server: ThrowawayServer
  let agent: RunningAgent
  let address: { host: string; port: number; user: string; password: string }

  beforeAll(async () => {
    server = await ThrowawayServer.start({ binaryLog: true })
    await server.query(`
      CREATE DATABASE shop; USE shop;
      CREATE TABLE orders (id INT PRIMARY KEY, t CHAR(200)) AS SELECT seq AS id, MD5(seq) AS t FROM seq_1_to_20000;
      CREATE TABLE prices (id INT PRIMARY KEY) ENGINE=Aria AS SELECT seq AS id FROM seq_1_to_5000;
    `)
    await server.createBackupUser('backup', 's3cUre')
    agent = await startAgent({ port: 0, engine: 'mariadb-backup', socket: server.socket })
    address = { host: agent.host, port: agent.port, user: 'backup', password: 's3cUre' }
  })
  afterAll(async () => {
    await agent?.stop()
    await server?.discard()
  })

  test('delivers a tar whose receipt says where the server was', async () => {
    const file = join(scratch, 'backup.tar')

    const receipt = await fetchBackup({ ...address, target: { file }, sid: 'tar' }).receipt

    expect(receipt).toMatchObject({
      proof: 'agent-verdict',
      engine: 'mariadb-backup',
      coordinates: { binlogFile: expect.any(String), binlogPosition: expect.any(Number) },
      lsn: { to: expect.stringMatching(/^\d+$/) },
      paddedFiles: 0,
    })
    const { coordinates, lsn } = await backupVerdict('tar', { ...address, wait: true })
    expect(coordinates).toEqual(receipt.coordinates)
    // What the program says it has copied, and what it wrote into its checkpoint file.
    expect({ to: lsn.checkpoint, last: lsn.to }).toEqual({ to: receipt.lsn.to, last: receipt.lsn.last })
    await expect(verifyBackup(file)).resolves.toMatchObject({ coordinates: receipt.coordinates, lsn: receipt.lsn })
  })

  test('delivers the xbstream as mariadb-backup wrote it, and mbstream unpacks what was proven', async () => {
    const file = join(scratch, 'backup.xb')

    const receipt = await fetchBackup({ ...address, target: { file }, format: 'xbstream' }).receipt
    const facts = await verifyBackup(file, { requireVerdict: true })

    const unpacked = join(scratch, 'unpacked')
    mkdirSync(unpacked)
    await mustRun('mbstream', ['-x', '-C', unpacked], { inputFile: file })
    const sizes = [...readTree(unpacked).values()]
      .filter((what) => what !== 'directory')
      .map((what) => Number.parseInt(what, 10))
    expect(receipt).toMatchObject({ format: 'xbstream', entries: sizes.length, files: sizes.length })
    expect(facts).toMatchObject({
      format: 'xbstream',
      engine: 'mariadb-backup',
      contentBytes: sizes.reduce((sum, size) => sum + size, 0),
      coordinates: { binlogFile: expect.any(String) },
      lsn: { to: expect.any(String) },
    })
    await mustRun('mariadb-backup', ['--prepare', `--target-dir=${unpacked}`])
  })

  test('delivers an xbstream of which no cut and no changed bit is taken for a backup', async () => {
    const file = join(scratch, 'backup.xb')
    await fetchBackup({ ...address, target: { file }, format: 'xbstream' }).receipt
    const stream = readFileSync(file)
    const proves = (bytes: Buffer): boolean => {
      const proof = new XbstreamProof()
      try {
        proof.push(bytes)
        proof.finish()
        return true
      } catch {
        return false
      }
    }
    // Where one chunk ends and the next begins a program that unpacks notices nothing.
    const joints: number[] = []
    for (let at = stream.indexOf('XBSTCK01', 1); at !== -1; at = stream.indexOf('XBSTCK01', at + 1)) joints.push(at)

    const taken = joints.filter((at) => proves(stream.subarray(0, at)))
    const places = Array.from({ length: 60 }, (_, n) => Math.floor(((n + 0.5) / 60) * stream.length))
    const changed = places.filter((at) => {
      const bytes = Buffer.from(stream)
      bytes[at] = (stream[at] as number) ^ 0x10
      return proves(bytes)
    })

    expect(proves(stream)).toBe(true)
    expect(joints.length).toBeGreaterThan(50)
    expect({ taken, changed }).toEqual({ taken: [], changed: [] })
  })

  test('says after it has accepted that the login was refused', async () => {
    const fetch = fetchBackup({ ...address, password: 'wrong', target: { file: join(scratch, 'x.tar') } })

    await expect(fetch.receipt).rejects.toMatchObject({
      code: 'CLIENT_BACKUP_FAILED',
      exitStatus: 4,
      facts: { agentCode: 'ENGINE_LOGIN' },
    })
    expect(readdirSync(scratch)).toEqual([])
  })
})
