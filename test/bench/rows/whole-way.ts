/**
 * The whole way: from the backup program's output to the last byte on a client's socket, through a real agent.
 *
 *     ours   program ─▶ agent ─▶ loopback ─▶ a client that counts
 *     peer   program ─▶ socat ─▶ loopback ─▶ the same client
 *
 * The program is a stand-in, `replaying-engine.ts`. Checksums of the stream are checked and the digest of the archive is
 * made in every encoding, as always.
 */

import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'

import type { Encoding } from '../../faults/product.ts'
import { replayingEngine, type Stage } from '../replaying-engine.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'
import { ALL_ENCODINGS, throughAgent, throughBareNode, throughSocat } from '../ways.ts'

const MIB = 1024 * 1024

const setUp = (size: Size): Promise<Stage> =>
  replayingEngine({ files: 4, fileBytes: size === 'full' ? 512 * MIB : 4 * MIB })

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

const SOCAT = 'through socat, xbstream as it is'

const WANTED: Readonly<Record<Encoding, number>> = { octet: 0.9, framed: 0.9, base64: 0.8, uuencode: 0.8 }

const speeds = async (size: Size): Promise<Contest> => {
  const stage = await setUp(size)
  const { agent, program, contentBytes } = stage
  const digest = createHash('sha256')
  const speed = ({ seconds }: { readonly seconds: number }): number => contentBytes / 1e9 / seconds
  return {
    contestants: [
      ...ALL_ENCODINGS.map(
        (encoding, at): Contestant => ({
          name: `through the agent, ${encoding}`,
          is: at === 0 ? 'ours' : 'ours too',
          ...(at === 0 ? {} : { against: SOCAT, goal: WANTED[encoding] }),
          run: async () => speed(await throughAgent(agent, encoding, stage)),
        }),
      ),
      {
        name: SOCAT,
        is: 'peer',
        goal: WANTED.octet,
        run: async () => speed(await throughSocat([program], stage)),
      },
      {
        name: 'through a program of Node that looks at nothing',
        is: 'limit',
        run: async () => speed(await throughBareNode('blind', [program], stage)),
      },
      {
        name: 'the same, and the two sums of all: CRC32, and SHA-256 in a thread',
        is: 'limit',
        run: async () => speed(await throughBareNode('summing', [program], stage)),
      },
      inMemory('SHA-256 alone, one processor', stage, (bytes) => digest.update(bytes)),
      inMemory('CRC32 alone, one processor', stage, (bytes) => crc32(bytes)),
    ],
    close: () => stage.close(),
  }
}

const costs = async (size: Size): Promise<Contest> => {
  const stage = await setUp(size)
  return {
    contestants: ALL_ENCODINGS.map((encoding, at) => ({
      name: encoding,
      is: at === 0 ? 'ours' : 'ours too',
      run: async () => {
        const { processorSeconds } = await throughAgent(stage.agent, encoding, stage)
        // The system counts in hundredths: so little as nothing cannot be told from one.
        return Math.max(processorSeconds, 0.01) / (stage.contentBytes / 1e9)
      },
    })),
    close: () => stage.close(),
  }
}

const CHAPTER = 'The whole way'

const ONE_THREAD =
  'Two processors: a program that makes the two sums and does nothing else (`the same, and the two sums of all`) gets no further, because the source, the client and the kernel need theirs. In the agent one thread reads a socket (some 200 KiB at a time), sums every chunk up (CRC32), copies it to the thread that makes the digest and writes to the socket: their times add up, the last of them most. The digest costs a processor as much time as it takes alone, but not this thread. Tried: reads of 64 KiB (three times the turns through every room), the digest in line (slower), fresh buffers for every read (the collector of garbage took an eighth). Sending whole pieces of the reserve, and what an encoder makes of one in one write, gave octet 7 %, uuencode 11 % and base64 19 %; the copy to the digest’s thread by `fill`, which copies at 31 GB/s in place of the 10 of `set`, some 3 % of the processor time. Not tried: buffers in shared memory, which would save that copy.'

export const rows: readonly Row[] = [
  {
    name: 'whole-way',
    chapter: CHAPTER,
    does: 'sends what a program writes from memory to a client on loopback, four files of 512 MiB',
    unit: 'GB/s',
    better: 'more',
    wanted: 1,
    limit: ONE_THREAD,
    prepare: speeds,
  },
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
