/** What the writers of this room write, its readers read back the same, whatever it is and wherever it is cut. */

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { encodeMark, parseMark, XbstreamReader } from '../../lib/archive/index.ts'
import { parsePaxRecords } from '../../lib/archive/pax-records.ts'
import { checkSafePath } from '../../lib/archive/safe-path.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { paxRecord } from './tar-forge.ts'
import { endChunk, payloadChunk, sparseChunk } from './xbstream-writer.ts'

const plain = fc.stringMatching(/^[A-Za-z0-9 #_.üß表-]{1,40}$/u).filter((name) => name !== '.' && name !== '..')
const path = fc.array(plain, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })

describe('a pax header', () => {
  const records = fc.record(
    { path, linkpath: path, size: count.map(String), comment: fc.string({ unit: 'grapheme', maxLength: 60 }) },
    { requiredKeys: [] },
  )
  const skipped = fc.array(fc.tuple(fc.constantFrom('uid', 'atime', 'SCHILY.xattr.user.a', 'é'), fc.string()), {
    maxLength: 3,
  })

  test('says what was written, whatever else stands between', () => {
    fc.assert(
      fc.property(records, skipped, fc.boolean(), (said, others, first) => {
        const ours = Object.entries(said).map(([key, value]) => paxRecord(key, value))
        const theirs = others.map(([key, value]) => paxRecord(key, value))

        const read = parsePaxRecords(
          Buffer.from([...(first ? theirs : []), ...ours, ...(first ? [] : theirs)].join('')),
          0,
        )

        expect(read).toEqual({
          ...(said.path === undefined ? {} : { path: said.path }),
          ...(said.linkpath === undefined ? {} : { linkPath: said.linkpath }),
          ...(said.size === undefined ? {} : { sizeBytes: Number(said.size) }),
          ...(said.comment === undefined ? {} : { comment: said.comment }),
        })
      }),
      { numRuns: 300 },
    )
  })
})

describe('a mark', () => {
  const words = fc.record(
    {
      product: fc.stringMatching(/^[A-Za-z0-9._-]{1,20}\/[0-9.]{1,10}$/),
      engine: fc.stringMatching(/^[a-z0-9-]{1,20}$/),
      engineVersion: fc.string({ unit: 'grapheme', maxLength: 30 }),
      entries: count,
      bytes: count,
    },
    { requiredKeys: ['product', 'engine', 'engineVersion'] },
  )

  test('comes back the same', () => {
    fc.assert(
      fc.property(words, (mark) => {
        expect(parseMark(encodeMark(mark))).toEqual(mark)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a name', () => {
  const odd = fc.array(
    fc.constantFrom('a', '.', '..', '', '/', '\\', '\n', '\0', 'é', '\ufffd', '\u009b', 'b c', './'),
    { maxLength: 6 },
  )

  test('is let through as it stands, or refused; and what is let through stays inside', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          odd.map((parts) => parts.join('/')),
          odd.map((parts) => parts.join('')),
          fc.string(),
        ),
        (name) => {
          let safe: string
          try {
            safe = checkSafePath(name)
          } catch (error) {
            expect(error).toBeInstanceOf(BackupError)
            return
          }
          expect(name === safe || name === `./${safe}`).toBe(true)
          expect(safe.split('/').filter((part) => part === '' || part === '.' || part === '..')).toEqual([])
          expect(safe).not.toMatch(/[\u0000-\u001f\u007f-\u009f\\]/)
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('an xbstream', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 50 }).map((bytes) => ({ zeros: 0, bytes: Buffer.from(bytes) })),
    fc
      .tuple(fc.nat(100), fc.uint8Array({ maxLength: 50 }))
      .map(([zeros, bytes]) => ({ zeros, bytes: Buffer.from(bytes) })),
  )
  const files = fc.uniqueArray(fc.record({ path, pieces: fc.array(piece, { maxLength: 4 }) }), {
    maxLength: 4,
    selector: (file) => file.path,
  })

  /** Chunks of all files in turns, as a program with several threads writes them. */
  const write = (list: readonly { path: string; pieces: readonly { zeros: number; bytes: Buffer }[] }[]): Buffer => {
    const rounds = Math.max(0, ...list.map(({ pieces }) => pieces.length))
    const offsets = new Map<string, number>()
    const chunks: Buffer[] = []
    for (let round = 0; round <= rounds; round += 1) {
      for (const { path: name, pieces } of list) {
        const next = pieces[round]
        const offset = offsets.get(name) ?? 0
        if (round === pieces.length) chunks.push(endChunk(name))
        if (next === undefined) continue
        const { zeros, bytes } = next
        chunks.push(
          zeros === 0 ? payloadChunk(name, offset, bytes) : sparseChunk(name, offset, [[zeros, bytes.length]], bytes),
        )
        offsets.set(name, offset + zeros + bytes.length)
      }
    }
    return Buffer.concat(chunks)
  }

  const read = (pieces: readonly Buffer[]): Map<string, Buffer> => {
    const reader = new XbstreamReader()
    const open = new Map<string, Buffer[]>()
    const closed = new Map<string, Buffer>()
    for (const piece of pieces) {
      for (const event of reader.push(piece)) {
        const kept = open.get(event.path) ?? []
        open.set(event.path, kept)
        if (event.type === 'data') kept.push(Buffer.from(event.bytes))
        else if (event.type === 'hole') kept.push(Buffer.alloc(event.zeroBytes))
        else closed.set(event.path, Buffer.concat(kept))
      }
    }
    reader.end()
    return closed
  }

  test('gives back every file, however its chunks are mixed and wherever they are cut', () => {
    fc.assert(
      fc.property(files, fc.array(fc.nat(3000), { maxLength: 10 }), (list, places) => {
        const bytes = write(list)
        const cuts = [...new Set(places.map((at) => Math.min(at, bytes.length)))].sort((a, b) => a - b)

        const found = read([0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length)))

        const wanted = list.map(({ path: name, pieces }): [string, Buffer] => [
          name,
          Buffer.concat(pieces.flatMap(({ zeros, bytes: data }) => [Buffer.alloc(zeros), data])),
        ])
        expect(found).toEqual(new Map(wanted))
      }),
      { numRuns: 300 },
    )
  })
})
