/**
 * The parser of KV blocks, against the parser that one writes first: `readline`, and a split at the first `=`.
 *
 * The peer believes everything: it knows no limit, no count and no forbidden character.
 */

import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'

import { KvBlockParser } from '../../../lib/protocol/kv-block-parser.ts'
import type { Contest, Row, Size } from '../row.ts'

const CHUNK_BYTES = 64 * 1024

const inChunks = (bytes: Buffer, chunkBytes: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, index) =>
    bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  )

const block = (pairs: readonly (readonly [string, string])[]): Buffer =>
  Buffer.from(`${pairs.length}\n${pairs.map(([key, value]) => `${key}=${value}\n`).join('')}\n`)

/** What a deployed client sends: its configuration file, 40 pairs. */
const SMALL = block(
  Array.from({ length: 40 }, (_, index) => [`xtrabackup-client:option-${index}`, `/srv/backups/value/${index}`]),
)

/** Nearly all that a block may be: 256 pairs, 64 kB. */
const LARGE = block(Array.from({ length: 256 }, (_, index) => [`a-key-of-some-length-${index}`, 'v'.repeat(225)]))

/** What nobody means well with: a mebibyte each. */
const HOSTILE: readonly Buffer[] = [
  Buffer.from(`1000000000\n${'a=b\n'.repeat(262_144)}`),
  Buffer.concat([Buffer.from('1\nk='), Buffer.alloc(1_048_576, 'v')]),
  Buffer.from(`256\n${'same=key\n'.repeat(116_508)}`),
  Buffer.concat([Buffer.from('2\nk=v\n'), Buffer.alloc(1_048_576, 0x1b)]),
]

/** @returns pairs, or -1 when it was refused */
const parse = (chunks: readonly Buffer[]): number => {
  const parser = new KvBlockParser()
  try {
    for (const chunk of chunks) {
      const done = parser.push(chunk)
      if (done !== undefined) return done.block.size
    }
    parser.end()
  } catch {
    return -1
  }
  return 0
}

const parseByReadline = (chunks: readonly Buffer[]): Promise<number> =>
  new Promise((resolve) => {
    const pairs = new Map<string, string>()
    let linesLeft: number | undefined
    const lines = createInterface({ input: Readable.from(chunks) })
    lines.on('line', (line) => {
      if (linesLeft === undefined) linesLeft = Number(line)
      else if (line === '') lines.close()
      else {
        const [key = '', ...value] = line.split('=')
        pairs.set(key, value.join('='))
      }
    })
    lines.on('close', () => resolve(pairs.size))
  })

const megabytesPerSecond = async (bytes: number, work: () => Promise<void> | void): Promise<number> => {
  const began = performance.now()
  await work()
  return bytes / 1e3 / (performance.now() - began)
}

/** The same streams over and over, each as chunks. */
const contest =
  (streams: readonly (readonly Buffer[])[], pairs: number, times: number) =>
  (size: Size): Contest => {
    const rounds = size === 'full' ? times : 2
    const bytes = streams.flat().reduce((sum, chunk) => sum + chunk.length, 0)
    const check = (found: number, by: string): void => {
      if (found !== pairs) throw new Error(`${by} found ${found} pairs, expected ${pairs}`)
    }
    return {
      contestants: [
        {
          name: 'KvBlockParser',
          is: 'ours',
          run: () =>
            megabytesPerSecond(bytes * rounds, () => {
              for (let round = 0; round < rounds; round += 1) for (const chunks of streams) check(parse(chunks), 'ours')
            }),
        },
        {
          name: 'readline and split',
          is: 'peer',
          goal: 5,
          run: () => {
            const fewer = Math.ceil(rounds / 8)
            return megabytesPerSecond(bytes * fewer, async () => {
              for (let round = 0; round < fewer; round += 1) {
                for (const chunks of streams) {
                  const found = await parseByReadline(chunks)
                  if (pairs > 0) check(found, 'readline')
                }
              }
            })
          },
        },
      ],
    }
  }

/** One byte at a time, a short block and one that is many times as long. */
const byteByByte = (size: Size): Contest => {
  const rounds = size === 'full' ? 20 : 1
  const [few, many] = [inChunks(SMALL, 1), inChunks(LARGE, 1)]
  const speed = (chunks: readonly Buffer[], pairs: number, times: number): Promise<number> =>
    megabytesPerSecond(chunks.length * times, () => {
      for (let time = 0; time < times; time += 1) {
        if (parse(chunks) !== pairs) throw new Error('one byte at a time gave other pairs')
      }
    })
  return {
    contestants: [
      { name: '64 kB', is: 'ours', run: () => speed(many, 256, rounds) },
      { name: '2 kB', is: 'ours too', run: () => speed(few, 40, rounds * 32) },
      {
        name: 'readline and split, 64 kB',
        is: 'peer',
        goal: 5,
        run: () => megabytesPerSecond(many.length, async () => void (await parseByReadline(many))),
      },
    ],
  }
}

const STRINGS =
  'A pair costs two strings and an entry in a map, for which its key is hashed: more than half of the time, and the peer has the same to do. Tried: the ends of lines found by the look that finds bytes that are not plain (a seventh less than two looks), 64 bits at a time (no faster, and many times slower until compiled), a string for each key (twice as slow as slices of one).'

const row = (name: string, does: string, limit: string, prepare: Row['prepare']): Row => ({
  name,
  chapter: 'The KV parser',
  does,
  unit: 'MB/s',
  better: 'more',
  limit,
  prepare,
})

export const rows: readonly Row[] = [
  row('kv-small', 'parses a block of 40 pairs, 2 kB, in one chunk', STRINGS, contest([[SMALL]], 40, 20_000)),
  row('kv-large', 'parses a block of 256 pairs, 64 kB, in one chunk', STRINGS, contest([[LARGE]], 256, 2000)),
  row(
    'kv-hostile',
    'is sent a mebibyte of what must be refused: a count of a billion, a line without an end, one key over and over, control characters',
    'Refused within the first chunk: what is counted here is what need not be read.',
    contest(
      HOSTILE.map((bytes) => inChunks(bytes, CHUNK_BYTES)),
      -1,
      200,
    ),
  ),
  row(
    'kv-byte-by-byte',
    'parses a block that comes one byte at a time; the long one has no more to do for each byte than the short one',
    'A call of the parser for each byte.',
    byteByByte,
  ),
]
