/**
 * Files that stand whole in a chunk are read at a glance, all others step by step: what is said of a stream is the same, however
 * it is cut and whatever is wrong with it, and so is the archive that becomes of it.
 */

import { afterAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { XbstreamReader } from '../../lib/archive/index.ts'
import { isUsualPath, USUAL_BYTES, UsualByte } from '../../lib/archive/safe-path.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { convert, pattern } from './converting.ts'
import { makeScratch } from './file-trees.ts'
import { endChunk, payloadChunk, sparseChunk } from './xbstream-writer.ts'

const KIB = 1024

const spool = makeScratch()
afterAll(() => spool.remove())

interface File {
  readonly path: string
  readonly content: Buffer
  /** What stands between its only chunk and its end. */
  readonly between: 'nothing' | 'another file' | 'a skipped chunk'
  readonly isSparse: boolean
}

const path = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[a-z_]{1,8}\/[a-z0-9_#@$.-]{1,12}\.(frm|ibd|MYD)$/) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('a/./b', '../a', '/a', 'a//b', 'a/', './', '.', 'ü/t.frm', 'a b', 'a\\b', 'a\tb'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('ib_logfile0', 'xtrabackup_checkpoints', `${'d/'.repeat(63)}f`, `${'d/'.repeat(64)}f`),
  },
)

const fileOf = (maxBytes: number): fc.Arbitrary<File> =>
  fc.record({
    path: fc.tuple(fc.constantFrom('', '', './'), path).map((parts) => parts.join('')),
    content: fc.nat({ max: maxBytes }).map((bytes) => pattern(bytes, bytes)),
    between: fc.constantFrom('nothing', 'nothing', 'nothing', 'another file', 'a skipped chunk'),
    isSparse: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  })

const streamOf = (files: readonly File[]): Buffer =>
  Buffer.concat(
    files.flatMap(({ path: name, content, between, isSparse }, index) => [
      isSparse ? sparseChunk(name, 0, [[7, content.length]], content) : payloadChunk(name, 0, content),
      ...(between === 'another file' ? [payloadChunk(`beside/${index}`, 0, content), endChunk(`beside/${index}`)] : []),
      ...(between === 'a skipped chunk' ? [payloadChunk(name, 0, content, { type: 'X', flags: 1 })] : []),
      endChunk(name),
    ]),
  )

const cutAt = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const cuts = [...new Set(places.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length))
}

interface Said {
  readonly lines: readonly string[]
  readonly wholeFiles: number
}

/** Everything that a reader says of a stream, data joined however it came. */
const said = (pieces: Iterable<Buffer>): Said => {
  const reader = new XbstreamReader()
  const lines: string[] = []
  let wholeFiles = 0
  let data: { readonly path: string; readonly pieces: Buffer[] } | undefined
  const take = (name: string, bytes: Buffer): void => {
    if (data?.path !== name) flush()
    data ??= { path: name, pieces: [] }
    data.pieces.push(Buffer.from(bytes))
  }
  const flush = (): void => {
    if (data !== undefined) lines.push(`${data.path}: ${Buffer.concat(data.pieces).toString('base64')}`)
    data = undefined
  }
  try {
    for (const piece of pieces) {
      for (const event of reader.pushWhole(piece)) {
        if (event.type === 'data' || event.type === 'file') take(event.path, event.bytes)
        if (event.type === 'data') continue
        flush()
        lines.push(event.type === 'hole' ? `${event.path}: hole of ${event.zeroBytes}` : `${event.path}: end`)
        if (event.type === 'file') wholeFiles += 1
      }
    }
    reader.end()
  } catch (error) {
    flush()
    if (!(error instanceof BackupError)) throw error
    lines.push(`${error.code} ${error.message} ${JSON.stringify(error.facts)}`)
  }
  flush()
  lines.push(`${reader.bytesRead} bytes, ${reader.files} files`)
  return { lines, wholeFiles }
}

const bytewise = function* (bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += 1) yield bytes.subarray(at, at + 1)
}

describe('what is said of a stream of small files', () => {
  const files = fc.array(fileOf(200), { minLength: 1, maxLength: 8 })
  const places = fc.array(fc.nat(4000), { maxLength: 6 })
  const damage = fc.option(
    fc.record({ at: fc.nat(4000), bit: fc.nat({ max: 7 }), lost: fc.constantFrom(0, 0, 0, 1, 5) }),
    { nil: undefined, freq: 2 },
  )

  test('is the same wherever it is cut, whatever its names are and whatever is damaged', () => {
    let wholeFiles = 0
    let refused = 0
    fc.assert(
      fc.property(files, places, damage, (all, cuts, damaged) => {
        const intact = streamOf(all)
        const bytes = Buffer.from(intact)
        let stream = bytes
        if (damaged !== undefined) {
          const at = damaged.at % bytes.length
          bytes[at] = (bytes[at] as number) ^ (1 << damaged.bit)
          stream = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + damaged.lost)])
        }

        const found = said(cutAt(stream, cuts))

        const wanted = said(bytewise(stream))
        expect(found.lines).toEqual(wanted.lines)
        expect(wanted.wholeFiles).toBe(0)
        wholeFiles += found.wholeFiles
        if (found.lines.some((line) => /^[A-Z]+_/.test(line))) refused += 1
      }),
      { numRuns: 1500 },
    )
    // Neither of the two has been tried in vain.
    expect(wholeFiles).toBeGreaterThan(1000)
    expect(refused).toBeGreaterThan(200)
  })

  test.each([
    [
      'a file that comes twice',
      [payloadChunk('a', 0, pattern(9)), endChunk('a'), payloadChunk('a', 0, pattern(9)), endChunk('a')],
    ],
    ['one that comes again with "./" before it', [endChunk('a'), payloadChunk('./a', 0, pattern(9)), endChunk('./a')]],
    ['one that is open', [payloadChunk('a', 0, pattern(9)), payloadChunk('a', 0, pattern(9)), endChunk('a')]],
    ['a wrong checksum', [payloadChunk('a', 0, pattern(9), { crc: 1 }), endChunk('a')]],
    ['another offset', [payloadChunk('a', 0, pattern(9), { offset: 1n }), endChunk('a')]],
    ['an offset of 2^32', [payloadChunk('a', 0, pattern(9), { offset: 2n ** 32n }), endChunk('a')]],
    ['a length of 2^32 and more', [payloadChunk('a', 0, pattern(9), { payloadBytes: 2n ** 32n + 9n }), endChunk('a')]],
    ['the end of another file', [payloadChunk('a', 0, pattern(9)), endChunk('b')]],
    ['the end of a file with a longer name', [payloadChunk('a', 0, pattern(9)), endChunk('ab')]],
    [
      'a second chunk in place of the end',
      [payloadChunk('a', 0, pattern(9)), payloadChunk('a', 9, pattern(9)), endChunk('a')],
    ],
    ['an empty file', [payloadChunk('a', 0, pattern(0)), endChunk('a')]],
    ['flags that mean nothing', [payloadChunk('a', 0, pattern(9), { flags: 1 }), endChunk('a', { flags: 0xff })]],
  ])('is the same of %s', (_, chunks) => {
    const stream = Buffer.concat([payloadChunk('before', 0, pattern(5)), endChunk('before'), ...chunks])

    expect(said([stream]).lines).toEqual(said(bytewise(stream)).lines)
  })

  test('comes in one event for each, of a view of the chunk', () => {
    const chunk = Buffer.concat(
      ['db/a.frm', './b'].flatMap((name) => [payloadChunk(name, 0, Buffer.from('seen')), endChunk(name)]),
    )

    const events = [...new XbstreamReader().pushWhole(chunk)]
    chunk.write('S', chunk.indexOf('seen')) // only a view can see this

    expect(events).toEqual([
      { type: 'file', path: 'db/a.frm', bytes: Buffer.from('Seen') },
      { type: 'file', path: 'b', bytes: Buffer.from('seen') },
    ])
  })
})

test('the archive of small files is the same wherever their stream is cut', async () => {
  const size = fc.oneof(
    fc.constantFrom(0, 1, 511, 512, 513, 8191, 16 * KIB, 16 * KIB + 1, 32 * KIB - 1, 32 * KIB, 64 * KIB, 64 * KIB + 1),
    fc.nat({ max: 9000 }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(size, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(400_000), { maxLength: 12 }),
      async (sizes, places) => {
        const stream = streamOf(
          sizes.map((bytes, index): File => {
            const between = index % 5 === 4 ? 'another file' : 'nothing'
            return { path: `db/t${index}.frm`, content: pattern(bytes, index), between, isSparse: false }
          }),
        )

        const found = await convert(cutAt(stream, places), spool.directory)

        const small = Array.from({ length: Math.ceil(stream.length / 50) }, (_, n) =>
          stream.subarray(n * 50, n * 50 + 50),
        )
        const wanted = await convert(small, spool.directory)
        expect(found.tar.equals(wanted.tar)).toBe(true)
        expect(found.members).toEqual(wanted.members)
        expect({ ...found.summary, peakMemoryBytes: 0 }).toEqual({ ...wanted.summary, peakMemoryBytes: 0 })
      },
    ),
    { numRuns: 60 },
  )
}, 300_000)

test('the bytes of usual names are those of which the rule for usual names is made', () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const character = String.fromCharCode(byte)
    const usual = USUAL_BYTES[byte]
    expect([character, isUsualPath(character)]).toEqual([character, usual === UsualByte.first])
    expect([character, isUsualPath(`a${character}a`)]).toEqual([character, usual !== UsualByte.none])
    expect([character, isUsualPath(`a/${character}`)]).toEqual([character, usual === UsualByte.first])
    expect([character, isUsualPath(`a${character}`)]).toEqual([
      character,
      usual === UsualByte.first || usual === UsualByte.later,
    ])
  }
})
