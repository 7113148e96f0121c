import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { TAR_LIMITS, type TarEvent, TarReader } from '../../lib/archive/tar-reader.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { everyCut } from './cuts.ts'
import { archive, END, type Forged, GNU, header, long, mark, member, pax, V7, wholeBackup } from './tar-forge.ts'

/** Every event as a line; the data of a member in one piece, wherever it was cut. */
const readAll = (chunks: readonly Buffer[]): string[] => {
  const reader = new TarReader()
  const lines: string[] = []
  let body = ''
  for (const chunk of chunks) {
    for (const event of reader.push(chunk)) {
      if (event.type === 'data') body += event.bytes.toString('latin1')
      else {
        if (event.type === 'memberEnd' && body !== '') lines.push(`data ${body}`)
        if (event.type === 'memberEnd') body = ''
        lines.push(describeEvent(event))
      }
    }
  }
  reader.finish()
  return lines
}

const describeEvent = (event: TarEvent): string => {
  if (event.type === 'mark') return `mark ${event.mark.engine}`
  if (event.type !== 'member') return event.type
  const { path, type, sizeBytes, linkPath } = event.member
  return `${type} ${path} ${sizeBytes}${linkPath === '' ? '' : ` -> ${linkPath}`}`
}

/** The members of an archive, described. */
const members = (bytes: Buffer): string[] =>
  readAll([bytes]).filter((line) => line !== 'memberEnd' && line !== 'end' && !line.startsWith('data '))

const MIXED = archive(
  mark(),
  member({ name: 'dir/', typeflag: '5' }),
  pax([
    ['path', 'dir/größe'],
    ['size', '3'],
    ['atime', '1.5'],
  ]),
  member({ name: 'dir/gr' }, 'abc'),
  long('L', `dir/${'n'.repeat(120)}`),
  member({ name: 'dir/n', magic: GNU }, 'x'.repeat(513)),
  pax([['comment', 'only a filler']], 'g'),
  member({ name: 'dir/empty' }),
)

const MIXED_EVENTS = [
  'mark mariadb-backup',
  'directory dir 0',
  'memberEnd',
  'file dir/größe 3',
  'data abc',
  'memberEnd',
  `file dir/${'n'.repeat(120)} 513`,
  `data ${'x'.repeat(513)}`,
  'memberEnd',
  'file dir/empty 0',
  'memberEnd',
  'end',
]

describe('a whole archive', () => {
  test('is read as the same events wherever it is cut', () => {
    const differing = everyCut(MIXED).filter(
      ({ chunks }) => JSON.stringify(readAll(chunks)) !== JSON.stringify(MIXED_EVENTS),
    )

    expect(differing.map(({ cut }) => cut)).toEqual([])
  })

  test('hands on bodies as views of the chunk, not copies', () => {
    const chunk = archive(member({}, 'body'))

    const data = [...new TarReader().push(chunk)].find((event) => event.type === 'data')
    chunk.write('BODY', 512) // only a view can see this

    expect(data?.bytes.toString()).toBe('BODY')
  })

  test('counts every byte in its offset', () => {
    const reader = new TarReader()

    for (const chunk of [MIXED.subarray(0, 700), MIXED.subarray(700)]) [...reader.push(chunk)]

    expect(reader.offset).toBe(MIXED.length)
  })

  test('may be followed by zeros up to the limit, as tar fills its last record', () => {
    const zeros = Buffer.alloc(TAR_LIMITS.paddingBytes)

    expect(readAll([MIXED, zeros])).toEqual(MIXED_EVENTS)
  })

  test('tells the members’ bodies it holds, but not a pax header’s, as soon as their header is complete', () => {
    const bodies: [number, number][] = []
    const reader = new TarReader({ onBody: (start, end) => bodies.push([start, end]) })
    const bytes = Buffer.concat([pax([['path', 'a']]), member({ name: 'b' }), header({ size: 513 })])

    for (const chunk of [bytes.subarray(0, -1), bytes.subarray(-1)]) [...reader.push(chunk)]

    expect(bodies).toEqual([[2048, 3072]])
  })
})

describe('members', () => {
  test.each<[string, Buffer, string]>([
    ['a name with a prefix', member({ name: 'b', prefix: 'a' }), 'file a/b 0'],
    ['a name that fills its field', member({ name: 'n'.repeat(100) }), `file ${'n'.repeat(100)} 0`],
    [
      'no prefix in GNU’s format, where times stand in its place',
      member({ prefix: '14000000000', magic: GNU }),
      'file file 0',
    ],
    ['a leading ./ as it stands', member({ name: './a' }), 'file ./a 0'],
    ['a file of the oldest type', member({ typeflag: '\0', magic: V7 }, 'x'), 'file file 1'],
    ['a contiguous file', member({ typeflag: '7' }, 'x'), 'file file 1'],
    [
      'a directory of an archive that has no type for it',
      member({ name: 'd/', typeflag: '\0', magic: V7 }),
      'directory d 0',
    ],
    ['a directory without its slash', member({ name: 'd', typeflag: '5' }), 'directory d 0'],
    ['a size in base-256', member({ size: base256(5) }, 'hello'), 'file file 5'],
    ['a size with spaces around', member({ size: Buffer.from('         5  ') }, 'hello'), 'file file 5'],
    ['a size of twelve digits', member({ size: Buffer.from('000000000005') }, 'hello'), 'file file 5'],
    ['a time before 1970', member({ mtime: base256(-5) }), 'file file 0'],
    ['a time that is not there', member({ mtime: Buffer.alloc(12) }), 'file file 0'],
    ['a checksum of signed characters', signedChecksum(), 'file f\ufffd 0'],
    [
      'a path and a size from a pax header',
      Buffer.concat([
        pax([
          ['path', 'p'],
          ['size', '5'],
        ]),
        member({ size: 0 }),
        header().fill(0x61),
      ]),
      'file p 5',
    ],
    ['a hard link', member({ typeflag: '1', linkName: '/etc/passwd' }), 'hard link file 0 -> /etc/passwd'],
    [
      'a symbolic link of a long name',
      Buffer.concat([long('K', '../up'), member({ typeflag: '2' })]),
      'symbolic link file 0 -> ../up',
    ],
    [
      'a link of a pax header',
      Buffer.concat([pax([['linkpath', 'there']]), member({ typeflag: '2' })]),
      'symbolic link file 0 -> there',
    ],
    ['a device', member({ typeflag: '3' }), 'character device file 0'],
    ['a block device', member({ typeflag: '4' }), 'block device file 0'],
    ['a FIFO', member({ typeflag: '6' }), 'fifo file 0'],
    ['a type of some vendor’s', member({ typeflag: 'Z' }, 'x'), 'unknown file 1'],
  ])('are read with %s', (_, bytes, described) => {
    expect(members(archive(bytes))).toEqual([described])
  })

  test('carry the time in milliseconds and the permissions with their special bits', () => {
    const bytes = Buffer.concat([pax([['mtime', '1700000000.25']]), member({ mode: 0o104755 & 0o7777777 })])

    const event = [...new TarReader().push(bytes)].find(({ type }) => type === 'member')

    expect(event).toMatchObject({ member: { mtimeMs: 1_700_000_000_250, mode: 0o4755 } })
  })
})

describe('the mark', () => {
  test('is not found in a comment of another program', () => {
    const comment = pax([['comment', '3b18e512dba79e4c8300dd08aeb37f8e728b8dad']], 'g')

    expect(members(archive(comment, member()))).toEqual(['file file 0'])
  })
})

describe('what is refused', () => {
  test.each<[string, Buffer, string]>([
    ['a file that is no tar', Buffer.alloc(512, 'text '), 'ARCHIVE_CORRUPT'],
    ['a wrong checksum', archive(header({ checksumOff: 1 })), 'ARCHIVE_CORRUPT'],
    ['a size that is no number', archive(header({ size: Buffer.from('12345678x01\0') })), 'ARCHIVE_CORRUPT'],
    [
      'a size with something behind its end',
      archive(header({ size: Buffer.from('5\0garbage\0\0\0') })),
      'ARCHIVE_CORRUPT',
    ],
    ['a size that is not there', archive(header({ size: Buffer.alloc(12) })), 'ARCHIVE_CORRUPT'],
    ['a size below zero', archive(header({ size: base256(-1) })), 'ARCHIVE_CORRUPT'],
    ['a size of 2^53', archive(header({ size: base256(2 ** 53) })), 'ARCHIVE_LIMIT'],
    ['a size of 2^53 in a pax header', archive(pax([['size', '9007199254740992']])), 'ARCHIVE_LIMIT'],
    ['a mode that is no number', archive(modeOf('rw-r--r-')), 'ARCHIVE_CORRUPT'],
    ['an owner that is no number', archive(fieldOf(108, 'mysql   ')), 'ARCHIVE_CORRUPT'],
    ['a group that is no number', archive(fieldOf(116, 'mysql   ')), 'ARCHIVE_CORRUPT'],
    ['a device that is no number', archive(fieldOf(329, 'sda1\0\0\0\0')), 'ARCHIVE_CORRUPT'],
    ['a second device that is no number', archive(fieldOf(337, 'sda1\0\0\0\0')), 'ARCHIVE_CORRUPT'],
    ['one zero block and then a member', Buffer.concat([Buffer.alloc(512), member()]), 'ARCHIVE_CORRUPT'],
    ['bytes behind the end', Buffer.concat([archive(member()), Buffer.from('x')]), 'ARCHIVE_TRAILING_BYTES'],
    [
      'a second archive behind the end',
      Buffer.concat([archive(member()), archive(member())]),
      'ARCHIVE_TRAILING_BYTES',
    ],
    ['zeros without end', Buffer.concat([END, Buffer.alloc(TAR_LIMITS.paddingBytes + 1)]), 'ARCHIVE_TRAILING_BYTES'],
    ['a file whose name ends in a slash', archive(member({ name: 'a/' })), 'ARCHIVE_CORRUPT'],
    ['a directory with a body', archive(member({ typeflag: '5', size: 5 })), 'ARCHIVE_CORRUPT'],
    ['a link with a body', archive(member({ typeflag: '2' }, 'x')), 'ARCHIVE_CORRUPT'],
    ['a pax header with nothing behind it', archive(pax([['path', 'a']])), 'ARCHIVE_CORRUPT'],
    ['a long name with nothing behind it', archive(long('L', 'a')), 'ARCHIVE_CORRUPT'],
    [
      'two pax headers for one member',
      archive(pax([['path', 'a']]), pax([['path', 'b']]), member()),
      'ARCHIVE_CORRUPT',
    ],
    ['a pax header and a long name', archive(pax([['path', 'a']]), long('L', 'b'), member()), 'ARCHIVE_CORRUPT'],
    ['a long name and a pax header', archive(long('L', 'b'), pax([['path', 'a']]), member()), 'ARCHIVE_CORRUPT'],
    ['two long names for one member', archive(long('L', 'a'), long('L', 'b'), member()), 'ARCHIVE_CORRUPT'],
    ['a long name that is empty', archive(long('L', ''), member()), 'ARCHIVE_CORRUPT'],
    ['a long name with bytes behind its NUL', archive(long('L', 'a\0b'), member()), 'ARCHIVE_CORRUPT'],
    [
      'a global header between a header and its member',
      archive(pax([['path', 'a']]), mark(), member()),
      'ARCHIVE_CORRUPT',
    ],
    ['a global header with a path', archive(pax([['path', 'a']], 'g'), member()), 'ARCHIVE_CORRUPT'],
    ['a global header with a size', archive(pax([['size', '1']], 'g'), member()), 'ARCHIVE_CORRUPT'],
    ['a global header with a link', archive(pax([['linkpath', 'a']], 'g'), member()), 'ARCHIVE_CORRUPT'],
    [
      'a header of type x that is too long',
      header({ typeflag: 'x', size: TAR_LIMITS.extensionBytes + 1 }),
      'ARCHIVE_LIMIT',
    ],
    [
      'a header of type g that is too long',
      header({ typeflag: 'g', size: TAR_LIMITS.extensionBytes + 1 }),
      'ARCHIVE_LIMIT',
    ],
    [
      'a header of type L that is too long',
      header({ typeflag: 'L', size: TAR_LIMITS.extensionBytes + 1 }),
      'ARCHIVE_LIMIT',
    ],
    [
      'a header of type K that is too long',
      header({ typeflag: 'K', size: TAR_LIMITS.extensionBytes + 1 }),
      'ARCHIVE_LIMIT',
    ],
    [
      'a sparse file of GNU’s old format',
      archive(member({ typeflag: 'S', magic: GNU }, 'x')),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    [
      'a sparse file of a pax header',
      archive(pax([['GNU.sparse.major', '1']]), member({}, 'x')),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    [
      'the rest of a file from another volume',
      archive(member({ typeflag: 'M', magic: GNU }, 'x')),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    ['a volume label', archive(member({ typeflag: 'V', magic: GNU })), 'ARCHIVE_MEMBER_REFUSED'],
    ['the listing of an incremental dump', archive(member({ typeflag: 'D', magic: GNU })), 'ARCHIVE_MEMBER_REFUSED'],
    ['an old mark of renames', archive(member({ typeflag: 'N', magic: GNU })), 'ARCHIVE_MEMBER_REFUSED'],
    ['a Solaris header', archive(member({ typeflag: 'X' }, 'x')), 'ARCHIVE_MEMBER_REFUSED'],
  ])('%s', (_, bytes, code) => {
    expect(() => readAll([bytes])).toThrow(expect.objectContaining({ code }))
    const lastBytes = [...bytes.subarray(-4096)].map((byte) => Buffer.of(byte))
    expect(() => readAll([bytes.subarray(0, -4096), ...lastBytes])).toThrow(expect.objectContaining({ code }))
  })

  test.each([
    ['gzip', '1f8b0800'],
    ['zstd', '28b52ffd'],
    ['xz', 'fd377a585a00'],
  ])('a file compressed with %s, saying how to undo that', (program, start) => {
    const bytes = Buffer.concat([Buffer.from(start, 'hex'), Buffer.alloc(600, 0x55)])

    expect(() => readAll([bytes])).toThrow(expect.objectContaining({ hint: expect.stringContaining(`${program} -dc`) }))
  })

  test.each([
    ['nothing at all', 0, 'nothing at all'],
    ['a header', 100, 'inside a header'],
    ['the body of a file', 512 + 100, 'inside "file", after 100 of 700 bytes'],
    ['the padding of a file', 512 + 800, 'stops at byte 1312'],
    ['two members', 512 + 1024, 'between two members'],
    ['its end', 512 + 1024 + 512, 'inside the end itself'],
  ])('an archive that stops at %s, saying where', (_, bytes, where) => {
    const reader = new TarReader()
    const pushed = archive(member({}, Buffer.alloc(700))).subarray(0, bytes)

    for (const event of reader.push(pushed)) expect(event.type).not.toBe('end')

    expect(() => reader.finish()).toThrow(
      expect.objectContaining({ code: 'ARCHIVE_TRUNCATED', message: expect.stringContaining(where) }),
    )
  })

  test('an archive cut at any byte', () => {
    const whole = wholeBackup()

    const accepted: number[] = []
    for (let at = 0; at < whole.length; at += 1) {
      try {
        readAll([whole.subarray(0, at)])
        accepted.push(at)
      } catch (error) {
        if (!(error instanceof BackupError) || error.code !== 'ARCHIVE_TRUNCATED') throw error
      }
    }

    expect(accepted).toEqual([])
  })

  test('a reader that was left in the middle of a chunk', () => {
    const reader = new TarReader()

    for (const _ of reader.push(archive(member()))) break

    expect(() => reader.finish()).toThrow(/^bug:/)
    expect(() => [...reader.push(END)]).toThrow(/^bug:/)
  })
})

describe('arbitrary bytes', () => {
  /** Pieces that look enough like tar to get past the first check. */
  const anyHeader = fc
    .record<Forged>({
      name: fc.string({ maxLength: 100, unit: 'binary' }),
      typeflag: fc.constantFrom('0', '\0', '1', '2', '5', '7', 'x', 'g', 'L', 'K', 'S', 'Z'),
      size: fc.oneof(
        fc.nat(1500),
        fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
      ),
      mtime: fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    })
    .map((forged) => header(forged))
  const anyPiece = fc.oneof(
    fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
    anyHeader,
    fc.constantFrom(Buffer.alloc(512), END, mark(), member({}, 'abc'), long('L', 'name'), pax([['path', 'a']])),
    fc.tuple(fc.string({ maxLength: 8 }), fc.string({ maxLength: 80 })).map(([key, value]) => pax([[key, value]])),
  )
  const outcome = (chunks: readonly Buffer[]): unknown => {
    try {
      return readAll(chunks)
    } catch (error) {
      if (error instanceof BackupError) return [error.code, error.message]
      throw error
    }
  }

  test('are read or refused, and alike wherever they are cut', () => {
    fc.assert(
      fc.property(fc.array(anyPiece, { maxLength: 8 }), fc.array(fc.nat(4000), { maxLength: 6 }), (pieces, cuts) => {
        const bytes = Buffer.concat(pieces)
        const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]

        const chunks = edges.slice(1).map((end, index) => Buffer.from(bytes.subarray(edges[index], end)))

        expect(outcome(chunks)).toEqual(outcome([bytes]))
      }),
      { numRuns: 3000 },
    )
  })
})

function base256(value: number): Buffer {
  const field = Buffer.alloc(12, value < 0 ? 0xff : 0)
  field.writeBigInt64BE(BigInt(value), 4)
  field[0] = value < 0 ? 0xff : 0x80
  return field
}

function modeOf(text: string): Buffer {
  return fieldOf(100, text)
}

function fieldOf(at: number, text: string): Buffer {
  const block = header()
  block.write(text, at)
  return resummed(block)
}

function resummed(block: Buffer): Buffer {
  block.write('        ', 148)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function signedChecksum(): Buffer {
  return header({ name: Buffer.from([0x66, 0xe9]), checksumOff: -256 })
}
