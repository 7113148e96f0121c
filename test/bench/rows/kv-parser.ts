/**
 * The parser of KV blocks, against the parser that one writes first: `readline`, and a split at the first `=`.
 *
 * The peer believes everything: it knows no limit, no count and no forbidden character. Both are asked for a dozen keys
 * of each block, as the agent asks for what it knows: half of them are there.
 */

import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'

import { KvBlockParser } from '../../../lib/protocol/kv-block-parser.ts'
import { keysOfOneHash } from '../../protocol/one-hash.ts'
import type { Contest, Row, Size } from '../row.ts'

const CHUNK_BYTES = 64 * 1024

const inChunks = (bytes: Buffer, chunkBytes: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, index) =>
    bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  )

const block = (pairs: readonly (readonly [string, string])[]): Buffer =>
  Buffer.from(`${pairs.length}\n${pairs.map(([key, value]) => `${key}=${value}\n`).join('')}\n`)

const SMALL_KEY = 'xtrabackup-client:option-'
const LARGE_KEY = 'a-key-of-some-length-'

/** What a deployed client sends: its configuration file, 40 pairs. */
const SMALL = block(Array.from({ length: 40 }, (_, index) => [`${SMALL_KEY}${index}`, `/srv/backups/value/${index}`]))

/** Nearly all that a block may be: 256 pairs, 64 kB. */
const LARGE = block(Array.from({ length: 256 }, (_, index) => [`${LARGE_KEY}${index}`, 'v'.repeat(225)]))

/** As many, 8 kB, made by somebody who has read `pair-table.ts`. */
const ONE_HASH_KEYS = keysOfOneHash(256)
const ONE_HASH = block(ONE_HASH_KEYS.map((key) => [key, 'a value, not short']))

/** Of those that are there, every sixth or so of the first 40; and what every block is asked for. */
const asked = (keyOf: (index: number) => string): readonly string[] => [
  ...[0, 7, 14, 21, 28, 39].map(keyOf),
  ...['action', 'user', 'password', 'backup-level', 'agent-stream-encoding', 'xtrabackup-agent:socket'],
]
const SMALL_ASKED = asked((index) => `${SMALL_KEY}${index}`)
const LARGE_ASKED = asked((index) => `${LARGE_KEY}${index}`)
const FOUND = 6

/** What nobody means well with: a mebibyte each. */
const HOSTILE: readonly Buffer[] = [
  Buffer.from(`1000000000\n${'a=b\n'.repeat(262_144)}`),
  Buffer.concat([Buffer.from('1\nk='), Buffer.alloc(1_048_576, 'v')]),
  Buffer.from(`256\n${'same=key\n'.repeat(116_508)}`),
  Buffer.concat([Buffer.from('2\nk=v\n'), Buffer.alloc(1_048_576, 0x1b)]),
]

/** What a block said: how many pairs it has, and how many of the keys were there. */
interface Said {
  readonly pairs: number
  readonly found: number
}

const REFUSED: Said = { pairs: -1, found: 0 }

const ask = (pairs: ReadonlyMap<string, string>, keys: readonly string[]): Said => {
  let found = 0
  for (const key of keys) {
    const value = pairs.get(key)
    if (value !== undefined && value !== '') found += 1
  }
  return { pairs: pairs.size, found }
}

const parse = (chunks: readonly Buffer[], keys: readonly string[]): Said => {
  const parser = new KvBlockParser()
  try {
    for (const chunk of chunks) {
      const done = parser.push(chunk)
      if (done !== undefined) return ask(done.block, keys)
    }
    parser.end()
  } catch {
    return REFUSED
  }
  return { pairs: 0, found: 0 }
}

const parseByReadline = (chunks: readonly Buffer[], keys: readonly string[]): Promise<Said> =>
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
    lines.on('close', () => resolve(ask(pairs, keys)))
  })

const megabytesPerSecond = async (bytes: number, work: () => Promise<void> | void): Promise<number> => {
  const began = performance.now()
  await work()
  return bytes / 1e3 / (performance.now() - began)
}

interface Work {
  readonly streams: readonly (readonly Buffer[])[]
  readonly keys: readonly string[]
  readonly said: Said
  readonly times: number
  /** None where the ratio is only to be known. */
  readonly goal?: number
}

/** The same streams over and over, each as chunks. */
const contest =
  ({ streams, keys, said, times, goal }: Work) =>
  (size: Size): Contest => {
    const rounds = size === 'full' ? times : 2
    const bytes = streams.flat().reduce((sum, chunk) => sum + chunk.length, 0)
    const check = ({ pairs, found }: Said, by: string): void => {
      if (pairs !== said.pairs || found !== said.found)
        throw new Error(`${by}: ${pairs} pairs and ${found} of the keys, expected ${said.pairs} and ${said.found}`)
    }
    return {
      contestants: [
        {
          name: 'KvBlockParser',
          is: 'ours',
          run: () =>
            megabytesPerSecond(bytes * rounds, () => {
              for (let round = 0; round < rounds; round += 1)
                for (const chunks of streams) check(parse(chunks, keys), 'ours')
            }),
        },
        {
          name: 'readline and split',
          is: 'peer',
          ...(goal === undefined ? {} : { goal }),
          run: () => {
            const fewer = Math.ceil(rounds / 8)
            return megabytesPerSecond(bytes * fewer, async () => {
              for (let round = 0; round < fewer; round += 1) {
                for (const chunks of streams) {
                  const theirs = await parseByReadline(chunks, keys)
                  if (said !== REFUSED) check(theirs, 'readline')
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
  const speed = (chunks: readonly Buffer[], keys: readonly string[], wanted: number, times: number): Promise<number> =>
    megabytesPerSecond(chunks.length * times, () => {
      for (let time = 0; time < times; time += 1) {
        const { pairs, found } = parse(chunks, keys)
        if (pairs !== wanted || found !== FOUND) throw new Error('one byte at a time gave other pairs')
      }
    })
  return {
    contestants: [
      { name: '64 kB', is: 'ours', run: () => speed(many, LARGE_ASKED, 256, rounds) },
      { name: '2 kB', is: 'ours too', run: () => speed(few, SMALL_ASKED, 40, rounds * 32) },
      {
        name: 'readline and split, 64 kB',
        is: 'peer',
        goal: 5,
        run: () => megabytesPerSecond(many.length, async () => void (await parseByReadline(many, LARGE_ASKED))),
      },
    ],
  }
}

const LOOKING =
  'Of a large block more than half is the look at every byte, four of them at a time: all must be plain ASCII. A sixth is the one string of which keys and values are slices, made when they are asked for (at once: a fifth slower). In a `Map`, which the peer has, V8 hashes each key by a call out of compiled code, and that was half of the time; here keys are hashed while they are looked at, and what is left of it hardly shows. A small block pays for its first and its last line, too, and to be asked for a dozen keys costs as much as ten pairs. Tried: the bytes first, and the "=" of each line after them (a fifth slower), arrays that grow (a sixth slower), a table of typed memory for each block (a microsecond to get it), 64 bits at a time (no faster, and many times slower until compiled), 32 bytes at a time (no faster where lines are short).'

const row = (name: string, does: string, limit: string, prepare: Row['prepare']): Row => ({
  name,
  chapter: 'The KV parser',
  does,
  unit: 'MB/s',
  better: 'more',
  limit,
  prepare,
})

const ASKING = 'and is asked for a dozen keys, half of which are there'

export const rows: readonly Row[] = [
  row(
    'kv-small',
    `parses a block of 40 pairs, 2 kB, in one chunk, ${ASKING}`,
    LOOKING,
    contest({ streams: [[SMALL]], keys: SMALL_ASKED, said: { pairs: 40, found: FOUND }, times: 20_000, goal: 5 }),
  ),
  row(
    'kv-large',
    `parses a block of 256 pairs, 64 kB, in one chunk, ${ASKING}`,
    LOOKING,
    contest({ streams: [[LARGE]], keys: LARGE_ASKED, said: { pairs: 256, found: FOUND }, times: 2000, goal: 5 }),
  ),
  row(
    'kv-hostile',
    'is sent a mebibyte of what must be refused: a count of a billion, a line without an end, one key over and over, control characters',
    'Refused within the first chunk: what is counted here is what need not be read.',
    contest({
      streams: HOSTILE.map((bytes) => inChunks(bytes, CHUNK_BYTES)),
      keys: [],
      said: REFUSED,
      times: 200,
      goal: 5,
    }),
  ),
  row(
    'kv-one-hash',
    `parses a block of 256 pairs, 8 kB, whose keys were made to have one hash, ${ASKING}`,
    'A pair at a time, as if it were not ASCII, and a `Map` for the keys: the worst that a client can make of a block, and it takes no longer for a key than for the one before.',
    contest({
      streams: [[ONE_HASH]],
      keys: asked((index) => ONE_HASH_KEYS[index] as string),
      said: { pairs: 256, found: FOUND },
      times: 400,
    }),
  ),
  row(
    'kv-byte-by-byte',
    `parses a block that comes one byte at a time, ${ASKING}; the long one has no more to do for each byte than the short one`,
    'A call of the parser for each byte.',
    byteByByte,
  ),
]
