import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type TarHeader, TarWriter } from '../../lib/archive/tar-writer.ts'
import { LentBuffers } from '../../lib/flow/index.ts'
import { MARK, pattern } from './converting.ts'
import { makeScratch, readTree, type Scratch, sha256 } from './file-trees.ts'
import { run, TAR_PROGRAMS } from './tar-programs.ts'

const header = (path: string, changes: Partial<TarHeader> = {}): TarHeader => ({
  path,
  type: 'file',
  sizeBytes: 0,
  mode: 0o640,
  mtimeMs: Date.UTC(2024, 1, 29, 12, 0, 0),
  uid: 0,
  gid: 0,
  uname: 'mysql',
  gname: 'mysql',
  ...changes,
})

/** A whole archive of these members. */
const write = async (members: Iterable<readonly [TarHeader, Buffer]>): Promise<Buffer> => {
  const writer = new TarWriter()
  writer.begin(MARK)
  for (const [head, body] of members) {
    writer.openMember({ ...head, sizeBytes: body.length })
    if (head.type === 'directory') continue
    writer.write(body)
    writer.closeMember()
  }
  writer.finish()
  return Buffer.concat([...writer.ready()])
}

/** What Python reads: it shows every field, and reads pax and ustar alike. */
const inspect = (archive: Buffer): Record<string, unknown>[] => {
  const script = `
import io, json, sys, tarfile
archive = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))
print(json.dumps([dict(name=m.name, mode=m.mode, mtime=m.mtime, uid=m.uid, gid=m.gid, uname=m.uname, gname=m.gname,
                       size=m.size, type=m.type.decode()) for m in archive.getmembers()]))
`
  return JSON.parse(run(['python3', '-c', script], archive).stdout)
}

let scratch: Scratch

beforeEach(() => {
  scratch = makeScratch()
})

afterEach(() => scratch.remove())

const NAMES = [
  'ibdata1',
  'db with spaces/a  b.frm',
  'bücher/größe — 表.ibd',
  `${'n'.repeat(99)}`,
  `${'n'.repeat(100)}`,
  `${'n'.repeat(101)}`,
  `${'n'.repeat(255)}`,
  `db/${'t'.repeat(97)}`,
  `db/${'t'.repeat(98)}`,
  `${'d'.repeat(155)}/${'f'.repeat(100)}`,
  `${'d'.repeat(156)}/${'f'.repeat(100)}`,
  `${'d'.repeat(200)}/${'e'.repeat(200)}/${'f'.repeat(200)}`,
  `${'a/'.repeat(60)}leaf`,
  `${'é'.repeat(120)}/ß`,
  '-leading-dash',
  '.hidden',
]
const SIZES = [0, 1, 511, 512, 513, 8191, 8192, 8193, 100_000]

describe.each(Object.entries(TAR_PROGRAMS))('what %s unpacks', (_, extractInto) => {
  test('has every name and every byte', async () => {
    const files = new Map<string, Buffer>()
    for (const [index, name] of NAMES.entries()) files.set(name, pattern(SIZES[index % SIZES.length] ?? 0, index + 1))
    for (const size of SIZES) files.set(`sizes/${size}`, pattern(size, size + 100))

    const archive = await write([...files].map(([path, body]) => [header(path), body]))
    const { status, stderr } = run(extractInto(scratch.directory), archive)

    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const found = [...readTree(scratch.directory)].filter(([, what]) => what !== 'directory')
    const wanted = [...files].map(([path, body]): [string, string] => [path, `${body.length} ${sha256(body)}`])
    expect(new Map(found)).toEqual(new Map(wanted))
  })

  test('has directories, also with long names and with no file in them', async () => {
    const names = [
      'db',
      'bücher',
      `db/${'d'.repeat(120)}`,
      `db/${'d'.repeat(120)}/${'e'.repeat(90)}`,
      'e'.repeat(99),
      'f'.repeat(100),
    ]

    const archive = await write(
      names.map((path) => [header(path, { type: 'directory', mode: 0o750 }), Buffer.alloc(0)]),
    )
    const { status, stderr } = run(extractInto(scratch.directory), archive)

    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(readTree(scratch.directory)).toEqual(new Map(names.sort().map((name) => [name, 'directory'])))
  })
})

test('writes every field as it was given', async () => {
  const archive = await write([[header('t.ibd', { uid: 107, gid: 114 }), pattern(7)]])

  expect(inspect(archive)).toEqual([
    {
      name: 't.ibd',
      mode: 0o640,
      mtime: 1709208000,
      uid: 107,
      gid: 114,
      uname: 'mysql',
      gname: 'mysql',
      size: 7,
      type: '0',
    },
  ])
})

test.each<[string, Partial<TarHeader>, object]>([
  ['a mode of zero', { mode: 0 }, { mode: 0 }],
  ['a mode with bits of a file type', { mode: 0o100600 }, { mode: 0o600 }],
  ['no owner names', { uname: '', gname: '' }, { uname: '', gname: '' }],
  ['user ids beyond six octal digits', { uid: 0o1000000, gid: 4294967294 }, { uid: 262144, gid: 4294967294 }],
  ['a user id of six octal digits', { uid: 0o777777, gid: 0o777777 }, { uid: 262143, gid: 262143 }],
  [
    'owner names longer than the field',
    { uname: 'u'.repeat(32), gname: 'g'.repeat(40) },
    { uname: 'u'.repeat(32), gname: 'g'.repeat(40) },
  ],
  [
    'owner names that just fit',
    { uname: 'u'.repeat(31), gname: 'g'.repeat(31) },
    { uname: 'u'.repeat(31), gname: 'g'.repeat(31) },
  ],
  ['owner names that are not ASCII', { uname: 'jürgen', gname: 'größe' }, { uname: 'jürgen', gname: 'größe' }],
  ['a fraction of a second', { mtimeMs: 1709208000999 }, { mtime: 1709208000 }],
  ['the last second of 31 bits', { mtimeMs: (2 ** 31 - 1) * 1000 }, { mtime: 2 ** 31 - 1 }],
  ['a time after 2038', { mtimeMs: 2 ** 31 * 1000 }, { mtime: 2 ** 31 }],
  ['a time before 1970', { mtimeMs: -1500 }, { mtime: -2 }],
  ['a time of zero', { mtimeMs: 0 }, { mtime: 0 }],
])('writes %s so that it is read back', async (_, changes, expected) => {
  const archive = await write([[header('t.ibd', changes), pattern(3)]])

  expect(inspect(archive)).toEqual([expect.objectContaining({ name: 't.ibd', size: 3, ...expected })])
})

const BIG = 9 * 2 ** 30 + 5

test.each([
  ['GNU tar', ['tar', '-tvf', '-']],
  ['bsdtar', ['bsdtar', '-tvf', '-']],
  [
    "Python's tarfile",
    ['python3', '-c', "import sys,tarfile; print(tarfile.open(fileobj=sys.stdin.buffer,mode='r|').next().size)"],
  ],
])('announces a size beyond 8 GiB so that %s reads it', async (_, program) => {
  const writer = new TarWriter()
  writer.begin(MARK)

  writer.openMember(header('db/big.ibd', { sizeBytes: BIG }))
  writer.write(pattern(100_000)) // a body that stops early: the sizes are printed before that is noticed
  const { stdout } = run(program, Buffer.concat([...writer.ready()]))

  expect(stdout).toContain(String(BIG))
  writer.destroy()
})

test('never leaves the name in a header empty, as splitting the name of a long directory would', async () => {
  const writer = new TarWriter()
  writer.begin(MARK)
  writer.openMember(header('d'.repeat(120), { type: 'directory' }))

  const written = Buffer.concat([...writer.ready()])

  const headers = Array.from({ length: written.length / 512 }, (_, n) => written.subarray(n * 512, n * 512 + 512))
  const names = headers.filter((block) => block.toString('latin1', 257, 262) === 'ustar').map((block) => block[0])
  expect(names).toHaveLength(3) // the mark, a pax header, the directory
  expect(names).not.toContain(0)
  writer.destroy()
})

test('passes a large body on as it is, without copying it', async () => {
  const writer = new TarWriter()
  writer.begin(MARK)
  const body = Buffer.alloc(65536, 'a')
  writer.openMember(header('t.ibd', { sizeBytes: body.length }))

  writer.write(body)
  const pieces = [...writer.ready()]

  expect(pieces.map((piece) => piece.buffer === body.buffer)).toEqual([false, true])
  writer.destroy()
})

test('joins small pieces, so that a small file leaves as one buffer', async () => {
  const writer = new TarWriter()
  writer.begin(MARK)
  expect([...writer.ready()].length).toBe(1)

  writer.openMember(header('db.opt', { sizeBytes: 65 }))
  writer.write(pattern(65))
  writer.closeMember()

  expect([...writer.ready()].map((piece) => piece.length)).toEqual([1024])
})

test.each([
  ['leaves memory behind that is mostly full, so that it comes back when what stands in it has left', 49, true],
  ['goes on in memory that is not', 47, false],
])('%s', (_, kibibytes, comesBack) => {
  const memory = new LentBuffers(64 * 1024, 2)
  const writer = new TarWriter(memory)
  const body = pattern(kibibytes * 512 - 512)
  for (const path of ['a', 'b']) writer.member(header(path, { sizeBytes: body.length }), body)

  const pieces = [...writer.ready()]
  memory.takeBack(pieces)

  expect(pieces.map(({ length }) => length)).toEqual([kibibytes * 1024])
  expect(memory.take().buffer === pieces[0]?.buffer).toBe(comesBack)
})

test.each([512, 1000, 4096, 33_000])('writes the same into memory that comes %i bytes at a time', (bufferBytes) => {
  const archiveIn = (memory?: LentBuffers): Buffer => {
    const writer = new TarWriter(memory)
    writer.begin(MARK)
    for (const sizeBytes of [0, 511, 5000, 16_384, 32_767, 32_768]) {
      writer.member(header(`a/file-of-${sizeBytes}`, { sizeBytes }), pattern(sizeBytes))
    }
    writer.finish()
    return Buffer.concat([...writer.ready()])
  }

  expect(archiveIn(new LentBuffers(bufferBytes, 2)).equals(archiveIn())).toBe(true)
})

describe('a whole member', () => {
  test('is written as one that is opened, written and closed, whatever its name and size, wherever it falls', () => {
    const name = fc.oneof(fc.constantFrom(...NAMES), fc.stringMatching(/^[a-zß]{1,30}$/u))
    const size = fc.oneof(fc.constantFrom(...SIZES), fc.nat({ max: 40_000 }))
    const members = fc.array(fc.tuple(name, size), { minLength: 1, maxLength: 30 })
    const archive = (all: readonly (readonly [string, number])[], isWhole: boolean): Buffer => {
      const writer = new TarWriter(new LentBuffers(40_000, 2))
      writer.begin(MARK)
      for (const [path, sizeBytes] of all) {
        const body = pattern(sizeBytes)
        if (isWhole) writer.member(header(path, { sizeBytes }), body)
        else {
          writer.openMember(header(path, { sizeBytes }))
          writer.write(body)
          writer.closeMember()
        }
      }
      const counted = `${writer.members} ${writer.contentBytes} ${writer.readyBytes}`
      writer.finish()
      return Buffer.concat([...writer.ready(), Buffer.from(`${counted} ${writer.passedBytes}`)])
    }

    fc.assert(
      fc.property(members, (all) => {
        expect(archive(all, true).equals(archive(all, false))).toBe(true)
      }),
      { numRuns: 200 },
    )
  })
})

test('counts what was taken out, and nothing else', async () => {
  const writer = new TarWriter()
  writer.begin(MARK)
  writer.openMember(header('a', { sizeBytes: 3 }))
  writer.write(pattern(3))
  writer.closeMember()
  const before = writer.archiveBytes

  const taken = Buffer.concat([...writer.ready()]).length

  expect({ before, after: writer.archiveBytes, taken }).toEqual({ before: 0, after: 2048, taken: 2048 })
  expect({ members: writer.members, contentBytes: writer.contentBytes }).toEqual({ members: 1, contentBytes: 3 })
})

describe('a writer that was given up', () => {
  test.each<[string, (writer: TarWriter) => unknown]>([
    ['opening a member', (writer) => writer.openMember(header('b'))],
    ['writing', (writer) => writer.write(pattern(10))],
    ['closing a member', (writer) => writer.closeMember()],
    ['a whole member', (writer) => writer.member(header('b', { sizeBytes: 1 }), pattern(1))],
    ['finishing', (writer) => writer.finish()],
  ])('refuses %s instead of losing it', async (_, action) => {
    const writer = new TarWriter()
    writer.begin(MARK)
    writer.openMember(header('a', { sizeBytes: 100_000 }))
    writer.destroy()
    writer.destroy()

    expect(() => action(writer)).toThrow('given up')
  })

  test('gives nothing out any more, also in the middle of being emptied', () => {
    const writer = new TarWriter()
    writer.begin(MARK)
    writer.openMember(header('a', { sizeBytes: 1_000_000 }))
    for (let time = 0; time < 3; time += 1) writer.write(pattern(100_000))

    const ready = writer.ready()
    const first = ready.next()
    writer.destroy()

    expect(first.done).toBe(false)
    expect(ready.next().done).toBe(true)
    expect([...writer.ready()]).toEqual([])
  })
})

test('takes it for a bug when a member gets more bytes than it announced, or fewer', async () => {
  const writer = new TarWriter()
  writer.begin(MARK)
  writer.openMember(header('a', { sizeBytes: 3 }))

  expect(() => writer.write(pattern(4))).toThrow('bug')
  expect(() => writer.closeMember()).toThrow('bug')
  expect(() => writer.openMember(header('b'))).toThrow('bug')
  expect(() => writer.finish()).toThrow('bug')
  writer.destroy()
})

test('makes directories of its own where an archive has only files', async () => {
  mkdirSync(join(scratch.directory, 'x'))
  const archive = await write([[header('db/t.ibd'), pattern(10)]])

  run(['tar', '-xf', '-', '-C', scratch.directory], archive)

  expect([...readTree(scratch.directory).keys()]).toEqual(['db', 'db/t.ibd', 'x'])
})
