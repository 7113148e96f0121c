/**
 * The whole way: from the backup program's output to the last byte on a client's socket, through a real agent.
 *
 *     ours   program ─▶ agent ─▶ loopback ─▶ a client that counts
 *     peer   program ─▶ socat ─▶ loopback ─▶ the same client
 *
 * The program is a stand-in that writes a recorded stream from memory as fast as it is read, so that the agent is what
 * there is to wait for. It holds the files open that it writes, as the real one does. Checksums of the stream are
 * checked and the digest of the archive is made in every encoding, as always.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

import { ENCODINGS, FRAMED_MIME } from '../../../lib/encodings/index.ts'
import { fileChunks } from '../../archive/xbstream-writer.ts'
import { installEngine, WHOLE_XBSTREAM } from '../../faults/made-engines.ts'
import type { Encoding } from '../../faults/product.ts'
import { AgentProcess } from '../../rig/agent-process.ts'
import { plainEnvironment } from '../../rig/run-program.ts'
import { makeMemoryDirectory } from '../memory-directory.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'

const MIB = 1024 * 1024
const FILES = 4

interface Stage {
  readonly agent: AgentProcess
  readonly program: string
  readonly contentBytes: number
  readonly stream: string
  close(): Promise<void>
}

const setUp = async (size: Size): Promise<Stage> => {
  const { path: directory, remove } = makeMemoryDirectory()
  const fileBytes = size === 'full' ? 512 * MIB : 4 * MIB
  const sources = join(directory, 'bench')
  mkdirSync(sources)
  const names = Array.from({ length: FILES }, (_, index) => `t${index}.ibd`)
  const held = names.map((name, index) => `${index + 5}<'${join(sources, name)}'`).join(' ')
  const path = installEngine(directory, {
    name: 'replays a stream',
    output: Buffer.alloc(0),
    afterwards: `exec ${held}; cat '${join(directory, 'replayed')}'; echo '[00] 2026-01-01 00:00:00 completed OK!' >&2; exit 0`,
    code: undefined,
  })
  const stream = openSync(join(directory, 'replayed'), 'w')
  const content = Buffer.alloc(fileBytes)
  for (let at = 0; at < fileBytes; at += 4096) content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  for (const name of names) {
    const source = openSync(join(sources, name), 'w')
    ftruncateSync(source, fileBytes)
    closeSync(source)
    const bytes = fileChunks(`bench/${name}`, content)
    for (let at = 0; at < bytes.length; ) at += writeSync(stream, bytes, at)
  }
  writeSync(stream, WHOLE_XBSTREAM)
  closeSync(stream)
  const environment = { ...plainEnvironment(), PATH: path, TMPDIR: directory }
  const agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--spool-dir', directory], { environment })
  return {
    agent,
    program: join(directory, 'bin', 'mariadb-backup'),
    contentBytes: FILES * fileBytes,
    stream: join(directory, 'replayed'),
    close: async () => {
      await agent.stop()
      await remove()
    },
  }
}

/** Reads to the end into one buffer over and over, so that the client costs as little as it can. */
const count = (
  options: { port: number } | { socket: Socket },
  request = '',
): Promise<{ bytes: number; tail: string }> =>
  new Promise((resolve, reject) => {
    let bytes = 0
    let tail = Buffer.alloc(0)
    const take = (length: number, from: Uint8Array): void => {
      bytes += length
      tail = Buffer.concat([tail, from.subarray(Math.max(0, length - 2000), length)]).subarray(-2000)
    }
    const buffer = Buffer.alloc(256 * 1024)
    const onread = {
      buffer,
      callback: (length: number, from: Uint8Array): boolean => {
        take(length, from)
        return true
      },
    }
    const socket = 'socket' in options ? options.socket : connect({ ...options, host: '127.0.0.1', onread })
    if ('socket' in options) socket.on('data', (chunk: Buffer) => take(chunk.length, chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve({ bytes, tail: tail.toString('latin1') }))
    if (request !== '') socket.end(request)
  })

/** Least bytes on the wire for a byte of the archive. */
const WIRE_PER_RAW: Readonly<Record<Encoding, number>> = { octet: 1, framed: 1, base64: 77 / 57, uuencode: 62 / 45 }

/** A stand-in asks nobody for a password, but the agent does not know that. */
const requestFor = (encoding: Encoding, session: string): string => {
  const pairs = [
    'action=copy from',
    `sid=${session}`,
    'user=backup',
    'password=secret',
    'backup-level=0',
    'file=/srv/ZRM_LINKS/.',
    `agent-stream-encoding=${encoding === 'framed' ? FRAMED_MIME : ENCODINGS[encoding]}`,
  ]
  return [encoding === 'framed' ? '0.77.0' : '0.76.1', pairs.length, ...pairs, '', ''].join('\n')
}

let sid = 0

/** @returns seconds by the wall, and of the processors that the agent and its children used */
const fetchThrough = async (
  { agent, contentBytes }: Stage,
  encoding: Encoding,
): Promise<{ seconds: number; processorSeconds: number }> => {
  const before = processorSeconds(agent.pid)
  const began = performance.now()
  sid += 1
  const { bytes, tail } = await count({ port: agent.port }, requestFor(encoding, `bench-${sid}`))
  const seconds = (performance.now() - began) / 1000
  if (bytes < contentBytes * WIRE_PER_RAW[encoding]) throw new Error(`${bytes} bytes of ${encoding}: ${agent.logTail}`)
  if (encoding === 'framed' && !tail.includes('status=COMPLETE'))
    throw new Error(`a backup that is not complete: ${tail}`)
  if (encoding === 'octet' && !tail.endsWith('\0'.repeat(1024))) throw new Error('an archive without its end')
  return { seconds, processorSeconds: processorSeconds(agent.pid) - before }
}

/** User and system time of one process, without its children: fields 14 and 15 of proc(5), in hundredths. */
const processorSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const throughSocat = async ({ program, contentBytes }: Stage): Promise<number> => {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const arrived = once(server, 'connection').then(([socket]) => count({ socket: socket as Socket }))
  const { port } = server.address() as AddressInfo
  const began = performance.now()
  const pipe: ChildProcess = spawn(
    'sh',
    ['-c', '"$1" 2>/dev/null | socat -u - "TCP:127.0.0.1:$2"', 'sh', program, String(port)],
    {
      stdio: 'ignore',
    },
  )
  const [{ bytes }] = await Promise.all([arrived, once(pipe, 'close')])
  const seconds = (performance.now() - began) / 1000
  server.close()
  if (bytes < contentBytes) throw new Error(`${bytes} bytes came through socat`)
  return seconds
}

const inMemory = (name: string, stage: Stage, sum: (bytes: Buffer) => unknown): Contestant => ({
  name,
  is: 'limit',
  run: () => {
    const piece = beginningOf(stage.stream)
    const began = performance.now()
    for (let at = 0; at < piece.length; at += 65_536) sum(piece.subarray(at, at + 65_536))
    return piece.length / 1e6 / (performance.now() - began) // GB/s
  },
})

const beginningOf = (file: string): Buffer => {
  const from = openSync(file, 'r')
  const bytes = Buffer.alloc(64 * MIB)
  const length = readSync(from, bytes)
  closeSync(from)
  return bytes.subarray(0, length)
}

const speeds =
  (encoding: Encoding, wanted: number) =>
  async (size: Size): Promise<Contest> => {
    const stage = await setUp(size)
    const { contentBytes } = stage
    const digest = createHash('sha256')
    return {
      contestants: [
        {
          name: `through the agent, ${encoding}`,
          is: 'ours',
          run: async () => contentBytes / 1e9 / (await fetchThrough(stage, encoding)).seconds,
        },
        {
          name: 'through socat, xbstream as it is',
          is: 'peer',
          goal: wanted,
          run: async () => contentBytes / 1e9 / (await throughSocat(stage)),
        },
        inMemory('SHA-256 alone, one processor', stage, (bytes) => digest.update(bytes)),
        inMemory('CRC32 alone, one processor', stage, (bytes) => crc32(bytes)),
      ],
      close: () => stage.close(),
    }
  }

const costs = async (size: Size): Promise<Contest> => {
  const stage = await setUp(size)
  const cost = (encoding: Encoding) => async (): Promise<number> => {
    const { processorSeconds: used } = await fetchThrough(stage, encoding)
    // The system counts in hundredths: so little as nothing cannot be told from one.
    return Math.max(used, 0.01) / (stage.contentBytes / 1e9)
  }
  return {
    contestants: [
      { name: 'octet', is: 'ours', run: cost('octet') },
      { name: 'framed', is: 'ours too', run: cost('framed') },
      { name: 'base64', is: 'ours too', run: cost('base64') },
      { name: 'uuencode', is: 'ours too', run: cost('uuencode') },
    ],
    close: () => stage.close(),
  }
}

const CHAPTER = 'The whole way'

const row = (encoding: Encoding, against: number, limit: string): Row => ({
  name: `whole-way-${encoding}`,
  chapter: CHAPTER,
  does: `sends what a program writes from memory to a client on loopback, as ${encoding}`,
  unit: 'GB/s',
  better: 'more',
  ...(encoding === 'octet' ? { wanted: 1 } : {}),
  limit,
  prepare: speeds(encoding, against),
})

const ONE_THREAD =
  'One thread reads the pipe (64 KiB at a time), sums every chunk up (CRC32), makes the digest (SHA-256) and writes to the socket: their times add up.'

export const rows: readonly Row[] = [
  row('octet', 0.9, ONE_THREAD),
  row('framed', 0.9, ONE_THREAD),
  row('base64', 0.8, ONE_THREAD),
  row('uuencode', 0.8, ONE_THREAD),
  {
    name: 'whole-way-processor',
    chapter: CHAPTER,
    does: 'costs the agent so many seconds of a processor for a gigabyte, its children not counted',
    unit: 's/GB',
    better: 'less',
    limit: ONE_THREAD,
    prepare: costs,
  },
]
