/**
 * Encoding × compression × number of files × speed of source and sink: each cell is the agent against a pipe that does the
 * same with the same compressor, without tar, without a verdict.
 *
 *     ours   program ─▶ agent (tar, compressor, encoding, digest) ─▶ loopback ─▶ client
 *     peer   program | compressor | socat                         ─▶ loopback ─▶ client
 */

import { replayingEngine } from '../replaying-engine.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'
import { ALL_ENCODINGS, type Compression, throughAgent, throughSocat } from '../ways.ts'

const MIB = 1024 * 1024
const SLOW = 200 * MIB

const COMPRESSIONS: Readonly<Record<string, Compression | undefined>> = {
  plain: undefined,
  zstd: { words: 'zstd -1', command: 'zstd -q -1' },
  gzip: { words: 'gzip -1', command: 'gzip -1' },
}

const FILES: Readonly<Record<string, { readonly files: number; readonly fileBytes: number; readonly text: string }>> = {
  few: { files: 4, fileBytes: 32 * MIB, text: '4 files of 32 MiB' },
  many: { files: 10_000, fileBytes: 13_421, text: '10,000 files of 13 kB' },
}

const SPEEDS: Readonly<Record<string, { source?: number; sink?: number; text: string }>> = {
  'at-full-speed': { text: 'source and sink as fast as they can' },
  'slow-source': { source: SLOW, text: 'a source of 200 MiB/s' },
  'slow-sink': { sink: SLOW, text: 'a client of 200 MiB/s' },
}

interface Cell {
  readonly compression: Compression | undefined
  readonly files: number
  readonly fileBytes: number
  readonly source?: number | undefined
  readonly sink?: number | undefined
}

const PEER = 'socat'

const prepare =
  ({ compression, files, fileBytes, source, sink }: Cell) =>
  async (size: Size): Promise<Contest> => {
    const fewer = size === 'full' ? 1 : 16
    const isLarge = fileBytes >= MIB
    const stage = await replayingEngine({
      files: isLarge ? files : Math.ceil(files / fewer),
      fileBytes: isLarge ? fileBytes / fewer : fileBytes,
      bytesPerSecond: source,
    })
    const { contentBytes, agent, program } = stage
    const wanted = { contentBytes, bytesPerSecond: sink, compression }
    const speed = ({ seconds }: { readonly seconds: number }): number => contentBytes / 1e6 / seconds
    return {
      contestants: [
        ...ALL_ENCODINGS.map(
          (encoding, at): Contestant => ({
            name: encoding,
            is: at === 0 ? 'ours' : 'ours too',
            ...(at === 0 ? {} : { against: PEER }),
            run: async () => speed(await throughAgent(agent, encoding, wanted)),
          }),
        ),
        { name: PEER, is: 'peer', run: async () => speed(await throughSocat([program], wanted)) },
      ],
      close: () => stage.close(),
    }
  }

const limitOf = (compression: string, speed: string): string => {
  if (speed !== 'at-full-speed')
    return 'The slow side. A text encoding is a third longer on the wire, so a slow client takes a third longer for it.'
  return compression === 'plain'
    ? 'Starting the program and the agent’s own locks, some tens of milliseconds, and then as for whole-way.'
    : `${compression}, which is the same program on both sides, and two processors for it, the backup program, the client and the agent, whose checksums, digest and copies through sockets the pipe has none of. What goes into the compressor and comes out of it uses its buffers again, and so does the spill. The first backups of an agent are slower: V8 compiles beside them.`
}

export const rows: readonly Row[] = Object.entries(COMPRESSIONS).flatMap(([compression, way]) =>
  Object.entries(FILES).flatMap(([number, { text: ofFiles, ...files }]) =>
    Object.entries(SPEEDS).map(
      ([speed, { text, source, sink }]): Row => ({
        name: `matrix-${compression}-${number}-${speed}`,
        chapter: 'The matrix',
        does: `sends ${ofFiles}, ${compression === 'plain' ? 'not compressed' : `compressed with ${compression}`}, ${text}`,
        unit: 'MB/s',
        better: 'more',
        turns: 3,
        limit: limitOf(compression, speed),
        prepare: prepare({ compression: way, ...files, source, sink }),
      }),
    ),
  ),
)
