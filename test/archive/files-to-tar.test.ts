import { afterEach, beforeEach, expect, test } from '@jest/globals'

import {
  type ArchiveEntry,
  type FilesToTarOptions,
  filesToTar,
  parseMark,
  type TarSummary,
} from '../../lib/archive/index.ts'
import { MARK, pattern, toAsync } from './converting.ts'
import { makeScratch, readTree, type Scratch, sha256 } from './file-trees.ts'
import { run, TAR_PROGRAMS } from './tar-programs.ts'

const file = (path: string, content: Buffer, changes: Partial<ArchiveEntry> = {}): ArchiveEntry => ({
  path,
  type: 'file',
  sizeBytes: content.length,
  mode: 0o660,
  mtimeMs: 1_700_000_000_000,
  uid: 107,
  gid: 114,
  body: () => toAsync(content.length === 0 ? [] : [content.subarray(0, 1), content.subarray(1)]),
  ...changes,
})

const directory = (path: string): ArchiveEntry => ({
  ...file(path, Buffer.alloc(0)),
  type: 'directory',
  mode: 0o700,
  body: () => {
    throw new Error('a directory has no body')
  },
})

const convert = async (entries: readonly ArchiveEntry[], changes: Partial<FilesToTarOptions> = {}) => {
  const pieces: Buffer[] = []
  const members: [string, number][] = []
  let summary: TarSummary | undefined
  const options: FilesToTarOptions = {
    mark: MARK,
    beforeEnd: async (found) => {
      summary = found
    },
    onMember: (path, sizeBytes) => members.push([path, sizeBytes]),
    ...changes,
  }
  for await (const piece of filesToTar(toAsync(entries), options)) pieces.push(piece)
  return { tar: Buffer.concat(pieces), summary, members }
}

let scratch: Scratch

beforeEach(() => {
  scratch = makeScratch()
})

afterEach(() => scratch.remove())

const ENTRIES = [
  directory('db'),
  directory('db/empty'),
  file('./db/t.frm', pattern(513)),
  file('db/größe.ibd', pattern(100_000)),
  file('ibdata1', Buffer.alloc(0)),
]

test.each(Object.entries(TAR_PROGRAMS))('writes what %s unpacks', async (_, extractInto) => {
  const { tar } = await convert(ENTRIES)

  const { status, stderr } = run(extractInto(scratch.directory), tar)

  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(readTree(scratch.directory)).toEqual(
    new Map([
      ['db', 'directory'],
      ['db/empty', 'directory'],
      ['db/größe.ibd', `100000 ${sha256(pattern(100_000))}`],
      ['db/t.frm', `513 ${sha256(pattern(513))}`],
      ['ibdata1', `0 ${sha256(Buffer.alloc(0))}`],
    ]),
  )
})

test('says what it wrote before the archive gets its end', async () => {
  const { tar, summary, members } = await convert(ENTRIES)

  expect(summary).toMatchObject({ members: 5, archiveBytes: tar.length - 1024, contentBytes: 100_513, padded: [] })
  expect(members).toEqual([
    ['db', 0],
    ['db/empty', 0],
    ['db/t.frm', 513],
    ['db/größe.ibd', 100_000],
    ['ibdata1', 0],
  ])
})

test('opens with the mark', async () => {
  const mark = { ...MARK, engine: 'directory', entries: 5, bytes: 100_513 }

  const { tar } = await convert(ENTRIES, { mark })

  expect(tar.toString('latin1', 156, 157)).toBe('g')
  expect(parseMark(/comment=(.*)\n/.exec(tar.toString('utf8', 512, 1024))?.[1] ?? '')).toEqual(mark)
})

test('makes no end of the archive when the verdict is bad', async () => {
  const pieces: Buffer[] = []
  const options: FilesToTarOptions = { mark: MARK, beforeEnd: () => Promise.reject(new Error('not complete')) }

  const reading = async () => {
    for await (const piece of filesToTar(toAsync(ENTRIES), options)) pieces.push(piece)
  }

  await expect(reading()).rejects.toThrow('not complete')
  const written = Buffer.concat(pieces)
  expect(written.subarray(-1024).equals(Buffer.alloc(1024))).toBe(false)
})

test('asks for the verdict only when everything before was taken', async () => {
  let asked = false
  let takenBytes = 0
  const archive = filesToTar(toAsync(ENTRIES), {
    mark: MARK,
    beforeEnd: async ({ archiveBytes }) => {
      asked = true
      expect(takenBytes).toBe(archiveBytes)
    },
  })

  for await (const piece of archive) {
    if (!asked) takenBytes += piece.length
  }

  expect(asked).toBe(true)
})

test.each<[string, ArchiveEntry[], string]>([
  ['a body with fewer bytes than announced', [file('a', pattern(10), { sizeBytes: 11 })], 'ARCHIVE_MEMBER_CHANGED'],
  ['a body with more', [file('a', pattern(10), { sizeBytes: 9 })], 'ARCHIVE_MEMBER_CHANGED'],
  ['a body where none was announced', [file('a', pattern(10), { sizeBytes: 0 })], 'ARCHIVE_MEMBER_CHANGED'],
  ['a name that comes twice', [file('a', pattern(1)), file('./a', pattern(1))], 'ARCHIVE_DUPLICATE'],
  ['a file below a file', [file('a', pattern(1)), file('a/b', pattern(1))], 'ARCHIVE_DUPLICATE'],
  ['a name that climbs', [file('../a', pattern(1))], 'ARCHIVE_PATH_UNSAFE'],
  ['an absolute name', [directory('/tmp')], 'ARCHIVE_PATH_UNSAFE'],
])('refuses %s', async (_, entries, code) => {
  await expect(convert(entries)).rejects.toMatchObject({ code })
})

test.each([
  ['fewer entries than the mark says', { entries: 6 }],
  ['more entries than the mark says', { entries: 4 }],
  ['another number of bytes than the mark says', { bytes: 100_512 }],
])('refuses %s', async (_, counts) => {
  await expect(convert(ENTRIES, { mark: { ...MARK, ...counts } })).rejects.toMatchObject({
    code: 'ARCHIVE_MEMBER_CHANGED',
  })
})

test('stops the entries and the body when the consumer stops', async () => {
  const stopped: string[] = []
  const watched = async function* <Item>(name: string, items: Item[]) {
    try {
      yield* items
    } finally {
      stopped.push(name)
    }
  }
  const body = pattern(100_000)
  const entries = watched('entries', [
    file('a', body, { body: () => watched('body', [body.subarray(0, 50_000), body.subarray(50_000)]) }),
  ])

  for await (const piece of filesToTar(entries, { mark: MARK, beforeEnd: async () => {} })) {
    if (piece.length > 10_000) break
  }

  expect(stopped).toEqual(['body', 'entries'])
})

test('reads no body before its bytes are wanted', async () => {
  let read = 0
  const body = async function* () {
    for (let n = 0; n < 10; n += 1) {
      read += 1
      yield pattern(65536)
    }
  }
  const archive = filesToTar(toAsync([file('a', pattern(0), { sizeBytes: 10 * 65536, body })]), {
    mark: MARK,
    beforeEnd: async () => {},
  })

  await archive.next() // the mark
  expect(read).toBe(0)
  await archive.next() // the header
  await archive.next() // the first piece

  expect(read).toBe(1)
  await archive.return(undefined)
})
