/**
 * xbstream → tar: in one pass, against the way of the programs, which is to unpack everything and to pack it again.
 *
 *     ours   file in memory ─▶ xbstreamToTar ─▶ counted
 *     peer   file in memory ─▶ mbstream -x ─▶ files in memory ─▶ tar -c ─▶ a pipe, counted
 *
 * Seconds by the wall: the peer may use all processors.
 */

import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { crc32 } from 'node:zlib'

import { type TarSummary, xbstreamToTar } from '../../../lib/archive/index.ts'
import { LentBuffers } from '../../../lib/flow/index.ts'
import { endChunk, fileChunks, payloadChunk } from '../../archive/xbstream-writer.ts'
import { ThrowawayServer } from '../../rig/mariadb-server.ts'
import { mustRun } from '../../rig/run-program.ts'
import { makeMemoryDirectory, type MemoryDirectory } from '../memory-directory.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** What the agent's read of a backup program gives, when that is the faster one: as much as a socket holds. */
const CHUNK_BYTES = 208 * KIB
/** And where it gives it. */
const BUFFER_BYTES = 256 * KIB
/** More are on their way nowhere here. */
const MAX_FREE = 16
const SMALL_FILE_BYTES = 8 * KIB
const BIG_FILE_BYTES = 64 * MIB

interface Recorded {
  readonly file: string
  readonly contentBytes: number
  readonly files: number
  /** What the backup program's own descriptors say of its files' sizes. */
  readonly sizeOf: (path: string) => number | undefined
}

const MARK = { product: 'kv-backup-agent/0', engine: 'bench', engineVersion: '0' } as const

/** As an agent gets it: into buffers that are used again. Without the threads and events that reading a file costs Node. */
async function* readInChunks(file: string, memory: LentBuffers): AsyncGenerator<Buffer> {
  const descriptor = openSync(file, 'r')
  try {
    for (;;) {
      const chunk = memory.take()
      const bytes = readSync(descriptor, chunk, 0, CHUNK_BYTES, null)
      if (bytes === 0) return
      yield memory.lend(chunk, bytes)
    }
  } finally {
    closeSync(descriptor)
  }
}

const convert = async (recorded: Recorded, directory: string): Promise<{ seconds: number; summary: TarSummary }> => {
  let summary: TarSummary | undefined
  const began = performance.now()
  const memory = new LentBuffers(BUFFER_BYTES, MAX_FREE)
  const archive = xbstreamToTar(readInChunks(recorded.file, memory), {
    mark: MARK,
    memory,
    memoryBytes: 32 * MIB,
    spool: { directory, maxBytes: 16 * 1024 * MIB },
    sizeOf: recorded.sizeOf,
    restingSizeOf: recorded.sizeOf, // nobody has written to that server
    mtimeMs: 0,
    beforeEnd: async (found) => {
      summary = found
    },
  })
  let bytes = 0
  for await (const piece of archive) {
    bytes += piece.length
    memory.takeBack([piece])
  }
  const seconds = (performance.now() - began) / 1000
  if (summary === undefined || summary.members !== recorded.files || summary.contentBytes !== recorded.contentBytes)
    throw new Error(`the archive is not whole: ${JSON.stringify(summary)}`)
  if (bytes < recorded.contentBytes) throw new Error(`an archive of ${bytes} bytes`)
  return { seconds, summary }
}

const unpackAndPack = async (recorded: Recorded, directory: string): Promise<number> => {
  const into = join(directory, 'unpacked')
  mkdirSync(into)
  const began = performance.now()
  await mustRun('sh', ['-c', 'exec mbstream -x -C "$1" < "$2"', 'sh', into, recorded.file])
  const tar = spawn('tar', ['-c', '-C', into, '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let bytes = 0
  tar.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  const [status] = (await once(tar, 'close')) as [number]
  const seconds = (performance.now() - began) / 1000
  rmSync(into, { recursive: true })
  if (status !== 0 || bytes < recorded.contentBytes) throw new Error(`tar ended with ${status} after ${bytes} bytes`)
  return seconds
}

/**
 * Files of one size, one after the other, each in chunks of at most 10 MiB. Written in large pieces whatever their size is: the
 * kernel lays out by them what it keeps, and reads of what came in small ones are slower (5 GB/s instead of 7).
 */
const write = (file: string, files: number, fileBytes: number): Recorded => {
  const out = openSync(file, 'w')
  const content = Buffer.alloc(fileBytes)
  for (let at = 0; at < fileBytes; at += 8) content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  const chunkBytes = Math.min(fileBytes, 10 * MIB)
  const crc = crc32(content.subarray(0, chunkBytes))
  const name = (index: number): string => `shop_${index % 100}/orders_${index}.${fileBytes > MIB ? 'ibd' : 'frm'}`
  const filesAtOnce = Math.ceil(BIG_FILE_BYTES / fileBytes)
  for (let first = 0; first < files; first += filesAtOnce) {
    const paths = Array.from({ length: Math.min(filesAtOnce, files - first) }, (_, index) => name(first + index))
    const stream = paths.flatMap((path) =>
      fileBytes <= MIB ? [payloadChunk(path, 0, content, { crc }), endChunk(path)] : [fileChunks(path, content)],
    )
    writeSync(out, Buffer.concat(stream))
  }
  closeSync(out)
  return { file, contentBytes: files * fileBytes, files, sizeOf: () => fileBytes }
}

/** Of twelve tables one is of MyISAM and one of Aria: such servers are InnoDB, but for what was never changed. */
const engineOf = (table: number): string => (table === 3 ? 'MyISAM' : table === 7 ? 'Aria' : 'InnoDB')

/** A backup by mariadb-backup itself, of a server with tables of every engine and a redo log that is full. */
const record = async (directory: string, size: Size): Promise<Recorded> => {
  const server = await ThrowawayServer.start({ directory, redoLogBytes: (size === 'full' ? 96 : 16) * MIB })
  try {
    await server.query('CREATE DATABASE shop')
    const [tables, rows] = size === 'full' ? [12, 300_000] : [2, 100]
    for (let table = 0; table < tables; table += 1) {
      await server.query(`USE shop; CREATE TABLE t${table} (id INT PRIMARY KEY, t VARCHAR(400))
        ENGINE=${engineOf(table)} AS SELECT seq AS id, REPEAT(MD5(seq), 10) AS t FROM seq_1_to_${rows}`)
    }
    const file = join(directory, 'recorded.xb')
    await mustRun(
      'mariadb-backup',
      ['--no-defaults', '--backup', '--stream=xbstream', `--socket=${server.socket}`, '--user=root', '--parallel=1'],
      { outputFile: file },
    )
    const sizes = await sizesIn(file)
    const contentBytes = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
    return { file, contentBytes, files: sizes.size, sizeOf: (path) => sizes.get(path) }
  } finally {
    await server.discard()
  }
}

/** The size of every file in a stream, by mbstream's own means. */
const sizesIn = async (file: string): Promise<Map<string, number>> => {
  const { path, remove } = makeMemoryDirectory()
  try {
    await mustRun('sh', ['-c', 'exec mbstream -x -C "$1" < "$2"', 'sh', path, file])
    const { stdout } = await mustRun('find', ['.', '-type', 'f', '-printf', '%s %P\\n'], { directory: path })
    const lines = stdout.toString().trimEnd().split('\n')
    return new Map(
      lines.map((line): [string, number] => [line.slice(line.indexOf(' ') + 1), Number.parseInt(line, 10)]),
    )
  } finally {
    await remove()
  }
}

const gigabytesPerSecond = ({ contentBytes }: Recorded, seconds: number): number => contentBytes / 1e9 / seconds

const speedOf =
  (recorded: Recorded, { path }: MemoryDirectory) =>
  async (): Promise<number> =>
    gigabytesPerSecond(recorded, (await convert(recorded, path)).seconds)

const peerOf = (recorded: Recorded, { path }: MemoryDirectory, goal: number): Contestant => ({
  name: 'mbstream -x, then tar -c, in memory',
  is: 'peer',
  goal,
  run: async () => gigabytesPerSecond(recorded, await unpackAndPack(recorded, path)),
})

/** Reads the stream in the same pieces, and sums it up: nothing that checks an xbstream does less. */
const checksum = (recorded: Recorded): Contestant => ({
  name: 'read, and CRC32',
  is: 'limit',
  run: async () => {
    const began = performance.now()
    const memory = new LentBuffers(BUFFER_BYTES, MAX_FREE)
    let crc = 0
    for await (const chunk of readInChunks(recorded.file, memory)) {
      crc = crc32(chunk, crc)
      memory.takeBack([chunk])
    }
    if (crc === 0) throw new Error('a stream without bytes')
    return gigabytesPerSecond(recorded, (performance.now() - began) / 1000)
  },
})

const ofRealBackup = async (size: Size): Promise<Contest> => {
  const directory = makeMemoryDirectory()
  const recorded = await record(directory.path, size)
  return {
    contestants: [
      { name: 'one pass', is: 'ours', run: speedOf(recorded, directory) },
      peerOf(recorded, directory, 2),
      checksum(recorded),
    ],
    close: () => directory.remove(),
  }
}

const ofSmallFiles = (size: Size): Contest => {
  const directory = makeMemoryDirectory()
  const files = size === 'full' ? 100_000 : 300
  const small = write(join(directory.path, 'small.xb'), files, SMALL_FILE_BYTES)
  const big = write(join(directory.path, 'big.xb'), size === 'full' ? 12 : 1, size === 'full' ? BIG_FILE_BYTES : MIB)
  return {
    contestants: [
      { name: `${files} files of 8 KiB`, is: 'ours', run: speedOf(small, directory) },
      // Half as many bytes a second is twice the time for a byte.
      { name: 'ours, 12 files of 64 MiB', is: 'peer', goal: 0.5, run: speedOf(big, directory) },
      peerOf(small, directory, 2),
      checksum(small),
    ],
    close: () => directory.remove(),
  }
}

const diskWrites = async (size: Size): Promise<Contest> => {
  const directory = makeMemoryDirectory()
  const recorded = await record(directory.path, size)
  return {
    contestants: [
      {
        name: 'the spool, a block at least',
        is: 'ours',
        run: async () => Math.max((await convert(recorded, directory.path)).summary.spooledBytes, 4096) / 1e6,
      },
      {
        name: 'mbstream -x',
        is: 'peer',
        goal: 10,
        run: async () => {
          await unpackAndPack(recorded, directory.path)
          return recorded.contentBytes / 1e6
        },
      },
    ],
    close: () => directory.remove(),
  }
}

const CHAPTER = 'xbstream to tar'

export const rows: readonly Row[] = [
  {
    name: 'xbstream-to-tar',
    chapter: CHAPTER,
    does: 'makes a tar of a backup that mariadb-backup wrote, a big table of each engine and the redo log',
    unit: 'GB/s',
    better: 'more',
    limit:
      'Reading and CRC32, the last line: half of the time; the rest is what goes to the spool and back, and the copies of what is small. Tried: memory that is used again for reads and small files (fresh memory costs more than the bytes that are put there), MyISAM by its size instead of through the spool. The CRC32 of Node’s zlib does not use the processor’s carry-less multiplication, and WebAssembly has none.',
    prepare: ofRealBackup,
  },
  {
    name: 'xbstream-small-files',
    chapter: CHAPTER,
    does: 'makes a tar of 100,000 small files, as against few big ones: what a file costs beside its bytes',
    unit: 'GB/s',
    better: 'more',
    limit:
      'A header to read, one to write, a name to remember and a copy of the bytes for each file; a checksum and a copy beside it work on colder memory than a checksum alone. Tried: fresh memory for what small files are put together in (half the speed), headers gathered before they are read, strings in a map or a set for the names (their bytes in a table of hashes cost a fifth), checksums of many files before their copies (no faster), two copies of each header.',
    prepare: ofSmallFiles,
  },
  {
    name: 'xbstream-disk-writes',
    chapter: CHAPTER,
    does: 'writes to a disk on the way from xbstream to tar, of the same backup',
    unit: 'MB',
    better: 'less',
    limit:
      'Only what is larger than a quarter of the memory and of no known size: the redo log, which is open as long as the backup runs, and tables of Aria, which are copied before they are locked.',
    turns: 1,
    prepare: diskWrites,
  },
]
