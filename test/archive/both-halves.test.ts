/** What the writing half of the room makes, read by the other half. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import {
  type ArchiveEntry,
  ArchiveProof,
  commentHeader,
  extractTar,
  filesToTar,
  RefusedEnds,
  TarReader,
} from '../../lib/archive/index.ts'
import { pattern, toAsync } from './converting.ts'
import { inPieces } from './cuts.ts'
import { makeScratch, readTree, type Scratch, sha256 } from './file-trees.ts'

let scratch: Scratch

beforeEach(() => {
  scratch = makeScratch()
})
afterEach(() => scratch.remove())

const FILES: ReadonlyMap<string, Buffer> = new Map([
  ['shop/a.ibd', pattern(300_000)],
  ['shop/größe.ibd', pattern(16_384, 2)],
  [`shop/${'n'.repeat(180)}.frm`, pattern(513, 3)],
  ['shop/empty.CSV', Buffer.alloc(0)],
  ['ibdata1', pattern(1, 4)],
])

const entry = (path: string, body: Buffer | undefined): ArchiveEntry => ({
  path,
  type: body === undefined ? 'directory' : 'file',
  sizeBytes: body?.length ?? 0,
  mode: body === undefined ? 0o750 : 0o640,
  mtimeMs: 1_700_000_000_000,
  uid: 2 ** 31,
  gid: 999,
  uname: 'mysql',
  gname: 'mysql',
  body: () => toAsync(body === undefined ? [] : inPieces(body)),
})

const write = async (bytes = [...FILES.values()].reduce((sum, body) => sum + body.length, 0)): Promise<Buffer[]> => {
  const pieces: Buffer[] = []
  const entries = [entry('shop', undefined), ...[...FILES].map(([path, body]) => entry(path, body))]
  const mark = {
    product: 'kv-backup-agent/0.1.0',
    engine: 'directory',
    engineVersion: '1',
    entries: entries.length,
    bytes,
  }
  const archive = filesToTar(toAsync(entries), { mark, beforeEnd: async () => {} })
  for await (const piece of archive) pieces.push(Buffer.from(piece))
  return pieces
}

describe('an archive written here', () => {
  test('is proven and unpacked as it was', async () => {
    const target = join(scratch.directory, 'target')
    mkdirSync(target)

    const facts = await extractTar(toAsync(await write()), target)

    expect(facts).toMatchObject({ engine: 'directory', members: 6, files: 5, contentBytes: 316_898 })
    const unpacked = readTree(target)
    expect(unpacked.get('shop')).toBe('directory')
    for (const [path, body] of FILES)
      expect([path, unpacked.get(path)]).toEqual([path, `${body.length} ${sha256(body)}`])
    expect(unpacked.size).toBe(FILES.size + 1)
  })

  test('is refused without its last piece, and without its last byte', async () => {
    const pieces = await write()
    const proof = (chunks: readonly Buffer[]) => {
      const one = new ArchiveProof()
      for (const chunk of chunks) one.push(chunk)
      return one.finish()
    }
    const whole = Buffer.concat(pieces)

    expect(() => proof(pieces.slice(0, -1))).toThrow(expect.objectContaining({ code: 'ARCHIVE_TRUNCATED' }))
    expect(() => proof([whole.subarray(0, -1)])).toThrow(expect.objectContaining({ code: 'ARCHIVE_TRUNCATED' }))
    expect(proof(pieces).bytes).toBe(whole.length)
  })

  test('has a refused end inside every body, and is itself an allowed one', async () => {
    const refused = new RefusedEnds()
    const bodies: [number, number][] = []
    const reader = new TarReader({ onBody: (start, end) => bodies.push([start, end]) })
    const pieces = await write()

    for (const piece of pieces) {
      refused.push(piece)
      for (const _ of reader.push(piece)) {
        // Only the bodies are wanted.
      }
    }

    // The files that are not empty; not the mark, nor the pax headers.
    expect(bodies).toHaveLength(4)
    for (const [start, end] of bodies) {
      expect([start - 1, start, end - 1, end].map((offset) => refused.isRefusedAt(offset))).toEqual([
        false,
        true,
        true,
        false,
      ])
    }
    expect(refused.isRefusedAt(reader.offset)).toBe(true)
  })
})

describe('a filler between members', () => {
  test('is neither a member nor a mark to the proof', async () => {
    const pieces = await write()
    const whole = Buffer.concat(pieces)
    const proof = new ArchiveProof()
    const end = whole.subarray(-1024)

    proof.push(whole.subarray(0, -1024))
    proof.push(commentHeader('waiting'))
    proof.push(end)

    expect(proof.finish().members).toBe(6)
  })
})
